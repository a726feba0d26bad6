-- Count the clients that are connected now.
-- KEYS: 1 the set of edges
--       2 the away key of any client
-- ARGV: 1 the start of an edge's key
--       2 the start of the key of what an edge shares
--       3 the start of an away key
--       4 ... registered names of channels
-- Returns for each channel how many clients are in it; for a client's own channel 1 or 0, or -1 if it left a moment ago.
-- This runs in the path of every push with a receipt: it reads counts that `register` keeps, and decodes nothing.
local edge_start, shared_start, away_start = ARGV[1], ARGV[2], ARGV[3]
local counts, fields = {}, {}
for i = 4, #ARGV do
  counts[i - 3] = 0
  fields[i - 3] = 'n:' .. ARGV[i]
end
fields[#fields + 1] = 'shared'

local function add(key, sign)
  local found = redis.call('HMGET', key, unpack(fields))
  for i = 1, #counts do
    if found[i] then counts[i] = counts[i] + sign * tonumber(found[i]) end
  end
  return found[#fields]
end

for _, edge in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if add(edge_start .. edge, 1) then add(shared_start .. edge, -1) end
end
for i = 1, #counts do
  local client = ARGV[i + 3]:match('^client:(.*)$')
  if client then
    if counts[i] > 0 then
      counts[i] = 1
    elseif redis.call('EXISTS', away_start .. client, KEYS[2]) > 0 then
      counts[i] = -1
    end
  end
  counts[i] = math.max(counts[i], -1)
end
return counts
