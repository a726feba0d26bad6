#!lua flags=no-writes,allow-oom
-- Say where a job is.
-- KEYS[1]  the job's receipt
-- KEYS[2]  the job's payload, or '' if another system may have written it
-- KEYS[3]  arq's mark that the job runs
-- KEYS[4]  ... for each queue: the queue, its state ('' if it has none)
-- ARGV[1]  id
-- Returns {"scheduled"}, {"queued"} (waiting or in flight), {"receipt", text} or {"unknown"}. An id may be used again, so a job in a queue
-- comes before the receipt of an earlier one.
local receipt_key, payload_key, running, id = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
for i = 4, #KEYS, 2 do
  local score = read_typed('ZSCORE', KEYS[i], id)
  if score then
    local last = KEYS[i + 1] ~= '' and redis.call('HGET', KEYS[i + 1], 'last') or '0'
    local runs = redis.call('EXISTS', running) == 1 -- then its score is when its claim expires
    local waits = not runs and tonumber(score) > math.max(now_ms(), tonumber(last))
    return {waits and 'scheduled' or 'queued'}
  end
end
local receipt = redis.call('GET', receipt_key)
if receipt then return {'receipt', receipt} end
return {redis.call('EXISTS', payload_key) == 1 and 'queued' or 'unknown'}
