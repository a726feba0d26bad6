#!lua
-- Enqueue a run of a function that runs by itself, unless another worker has. KEYS: calls, the run's mark ('' for none), payload, result.
-- ARGV: id, payload, due, ms to keep the mark, ms to keep the payload. Returns 1 if it is enqueued.
check_calls(KEYS[1])
if redis.call('EXISTS', KEYS[2], KEYS[3], KEYS[4]) > 0 then return 0 end
if KEYS[2] ~= '' then redis.call('SET', KEYS[2], '1', 'PX', ARGV[4]) end
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[5])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1
