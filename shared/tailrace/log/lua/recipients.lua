-- Count who is there now. KEYS: the set of edges. ARGV: the start of an edge's key, the start of an away key, then channels.
-- Returns for each channel how many clients are connected; for a client's own channel 1 or 0, or -1 where it left a moment ago.
local edges = redis.call('ZRANGE', KEYS[1], 0, -1)
local counts, fields = {}, {}
for i = 3, #ARGV do
  counts[i - 2] = 0
  fields[i - 2] = 'n:' .. ARGV[i]
end
for _, edge in ipairs(edges) do
  for i, count in ipairs(redis.call('HMGET', ARGV[1] .. edge, unpack(fields))) do
    counts[i] = counts[i] + tonumber(count or '0')
  end
end
for i = 1, #counts do
  local client = ARGV[i + 2]:match('^client:(.*)$')
  if client then
    if counts[i] > 0 then
      counts[i] = 1
    elseif redis.call('EXISTS', ARGV[2] .. client) == 1 then
      counts[i] = -1
    end
  end
end
return counts
