#!lua flags=allow-oom
-- Announce functions. KEYS: functions that workers announced, functions that were missed, arq's aborts,
-- which arq keeps for ever. ARGV: the functions.
local now = redis.call('TIME')[1] * 1000
for _, name in ipairs(ARGV) do
  redis.call('ZADD', KEYS[1], now, name)
  redis.call('ZREM', KEYS[2], name)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 86400000)
redis.call('PEXPIRE', KEYS[1], 86400000)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - 86400000)
return 1
