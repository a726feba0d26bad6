#!lua flags=allow-oom
-- Cancel a job that no worker has. Frees more memory than it takes, so it works while Redis is out of memory.
-- KEYS[1]  the job's receipt
-- KEYS[2]  the job's payload, or '' if another system may have written it
-- KEYS[3]  arq's mark that the job runs
-- KEYS[4]  ... the queues
-- ARGV[1]  id
-- ARGV[2]  the receipt to leave
-- ARGV[3]  how long the receipt is kept, ms
-- Returns {"cancelled", payload}, {"late"} (a worker has it), {"receipt", text} (it has ended) or {"unknown"}.
local receipt_key, payload_key, running = KEYS[1], KEYS[2], KEYS[3]
local id, cancelled, receipt_ms = ARGV[1], ARGV[2], ARGV[3]
for i = 4, #KEYS do
  if read_typed('ZSCORE', KEYS[i], id) then
    if redis.call('EXISTS', running) == 1 then return {'late'} end
    redis.call('ZREM', KEYS[i], id)
    local payload = read_typed('GET', 'arq:job:' .. id) or ''
    redis.call('DEL', 'arq:job:' .. id, 'arq:retry:' .. id) -- tries and deaths would count for a later job of this id
    redis.call('SET', receipt_key, cancelled, 'PX', receipt_ms)
    return {'cancelled', payload}
  end
end
local receipt = redis.call('GET', receipt_key)
if receipt then return {'receipt', receipt} end
return {redis.call('EXISTS', payload_key) == 1 and 'late' or 'unknown'}
