#!lua flags=allow-oom
-- Forget outcomes of jobs that have ended, when no commit is due that could name them.
-- KEYS[1]  the partition's commits
-- ARGV[1]  epoch
-- ARGV[2]  ... fields of outcomes
-- Returns how many were forgotten.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], unpack(ARGV, 2))
