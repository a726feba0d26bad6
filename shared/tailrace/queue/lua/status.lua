#!lua flags=no-writes,allow-oom
-- Say where a job is. KEYS: its receipt, its payload ('' if another system may have written it), arq's mark that it runs, then for each
-- queue: the queue, its line ('' where it has none). ARGV: id.
-- Returns {"scheduled"}, {"queued"} (waits, or is in a worker's hand), {"receipt", text} or {"unknown"}; an id may come again, so the queue
-- counts first.
for i = 4, #KEYS, 2 do
  local score = redis.pcall('ZSCORE', KEYS[i], ARGV[1])
  if type(score) == 'string' then -- not an error: the key may be of another type
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local last = KEYS[i + 1] ~= '' and redis.call('HGET', KEYS[i + 1], 'last') or '0'
    local runs = redis.call('EXISTS', KEYS[3]) == 1 -- then its score is when the claim on it runs out
    local waits = not runs and tonumber(score) > math.max(now, tonumber(last))
    return {waits and 'scheduled' or 'queued'}
  end
end
local receipt = redis.call('GET', KEYS[1])
if receipt then return {'receipt', receipt} end
return {redis.call('EXISTS', KEYS[2]) == 1 and 'queued' or 'unknown'}
