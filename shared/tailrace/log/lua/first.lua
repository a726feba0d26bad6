#!lua flags=no-writes,allow-oom
-- Return the id of the first of a stream's newest entries; false for none.
-- KEYS[1]  the stream
-- ARGV[1]  how many of the newest entries
local key, most = KEYS[1], tonumber(ARGV[1])
local entries
if redis.call('XLEN', key) <= most then -- so that nothing but one entry is read
  entries = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)
else
  entries = redis.call('XREVRANGE', key, '+', '-', 'COUNT', most)
end
return #entries > 0 and entries[#entries][1]
