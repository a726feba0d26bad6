-- Count who is there now. KEYS: the set of edges, the set of clients that several edges have. ARGV: the start of an edge's key, the start
-- of an away key, then channels.
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
-- A client that several edges have, with two connections or on its way from one to another, counts once. More of them than that are
-- clients of an edge that has just been killed, whose lease ends in a moment.
local MOST = 256

local function times(client, channels)
  local on = 0
  for _, edge in ipairs(edges) do
    local entry = redis.call('HGET', ARGV[1] .. edge, 'c:' .. client)
    if entry then
      on = on + 1
      for _, channel in ipairs(cjson.decode(entry).channels) do channels[channel] = (channels[channel] or 0) + 1 end
    end
  end
  return on
end

if redis.call('SCARD', KEYS[2]) <= MOST then
  for _, client in ipairs(redis.call('SMEMBERS', KEYS[2])) do
    local channels = {}
    if times(client, channels) < 2 then redis.call('SREM', KEYS[2], client) end
    for i = 1, #counts do counts[i] = counts[i] - math.max((channels[ARGV[i + 2]] or 0) - 1, 0) end
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
