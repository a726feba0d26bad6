#!lua
-- Enqueue a scheduled run, unless another worker has.
-- KEYS[1]  the queue of calls
-- KEYS[2]  the run's mark ('' for none)
-- KEYS[3]  the run's payload
-- KEYS[4]  the run's result
-- ARGV[1]  id
-- ARGV[2]  payload
-- ARGV[3]  due time, Unix ms
-- ARGV[4]  how long the mark is kept, ms
-- ARGV[5]  how long the payload is kept, ms
-- Returns 1 if it is enqueued, else 0.
local calls, mark, payload_key, result_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, payload, due, mark_ms, payload_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
check_calls(calls)
if redis.call('EXISTS', mark, payload_key, result_key) > 0 then return 0 end
if mark ~= '' then redis.call('SET', mark, '1', 'PX', mark_ms) end
redis.call('SET', payload_key, payload, 'PX', payload_ms)
redis.call('ZADD', calls, due, id)
return 1
