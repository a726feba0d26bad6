#!lua flags=allow-oom
-- Announce the functions that a worker has.
-- KEYS[1]  announced functions, by the time of the last announcement
-- KEYS[2]  missed functions, by the time since when they are
-- KEYS[3]  arq's aborts, which arq never deletes
-- ARGV     the functions
-- Returns 1.
local announced, missed, aborts = KEYS[1], KEYS[2], KEYS[3]
local now = now_ms()
for _, name in ipairs(ARGV) do
  redis.call('ZADD', announced, now, name)
  redis.call('ZREM', missed, name)
end
redis.call('ZREMRANGEBYSCORE', announced, '-inf', now - 86400000)
redis.call('PEXPIRE', announced, 86400000)
redis.call('ZREMRANGEBYSCORE', aborts, '-inf', now - 86400000)
return 1
