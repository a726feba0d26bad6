#!lua flags=allow-oom
-- Trim the log to its age and to its size in bytes, which is estimated from a few of its nodes.
-- KEYS[1]  the log
-- ARGV[1]  age, ms
-- ARGV[2]  bytes
-- Returns the bytes before. It takes no memory, so it works while Redis is out of memory.
redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', now_ms() - tonumber(ARGV[1])))
local used, most = redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', '5'), tonumber(ARGV[2])
if used and used > most then
  redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', math.floor(redis.call('XLEN', KEYS[1]) * most / used * 0.9))
end
return used
