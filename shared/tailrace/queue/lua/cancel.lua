#!lua flags=allow-oom
-- Cancel a job that no worker has. KEYS: its receipt, its payload ('' if another system may have written it), arq's mark that it runs, then
-- the queues.
-- ARGV: id, the receipt to leave, ms to keep it. Frees more than it takes, so it works while Redis is out of memory.
-- Returns {"cancelled", payload}, {"late"} (a worker has it), {"receipt", text} (it has ended) or {"unknown"}.
for i = 4, #KEYS do
  if type(redis.pcall('ZSCORE', KEYS[i], ARGV[1])) == 'string' then -- not an error: the key may be of another type
    if redis.call('EXISTS', KEYS[3]) == 1 then return {'late'} end
    redis.call('ZREM', KEYS[i], ARGV[1])
    local payload = redis.pcall('GET', 'arq:job:' .. ARGV[1])
    if type(payload) ~= 'string' then payload = '' end -- it is gone, or of another type
    redis.call('DEL', 'arq:job:' .. ARGV[1], 'arq:retry:' .. ARGV[1]) -- tries and deaths would count for a later job of this id
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    return {'cancelled', payload}
  end
end
local receipt = redis.call('GET', KEYS[1])
if receipt then return {'receipt', receipt} end
return {redis.call('EXISTS', KEYS[2]) == 1 and 'late' or 'unknown'}
