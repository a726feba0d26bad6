#!lua flags=allow-oom
-- Forget outcomes of jobs that have ended, when no commit comes along to name them. KEYS: commits. ARGV: epoch, fields.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], unpack(ARGV, 2))
