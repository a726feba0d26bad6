#!lua flags=no-writes,allow-oom
-- Find the first of a stream's last entries up to an id. The entries themselves stay in Redis.
-- KEYS[1]  the stream
-- ARGV[1]  how many of the last entries
-- ARGV[2]  id of the last entry that counts
-- Returns {id of the first, or '' if there is none; 1 if there are as many as were asked for, else 0}.
local key, most, last = KEYS[1], tonumber(ARGV[1]), ARGV[2]
local length = redis.call('XLEN', key)
local entries, complete
if length <= most then -- so that nothing but two entries is read
  entries = redis.call('XRANGE', key, '-', last, 'COUNT', 1)
  complete = length == most and #redis.call('XRANGE', key, '(' .. last, '+', 'COUNT', 1) == 0
else
  entries = redis.call('XREVRANGE', key, last, '-', 'COUNT', most)
  complete = #entries == most
end
return { #entries > 0 and entries[#entries][1] or '', complete and 1 or 0 }
