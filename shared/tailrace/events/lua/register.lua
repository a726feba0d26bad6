-- Bring an edge's part of the registry up to date, and renew its lease.
-- KEYS: 1 the edge's hash: `c:<client>` an entry, `n:<channel>` a count, `edge` its id, `peers` the edges beside it, `shared` if 3 exists
--       2 the set of edges, by when their lease ends
--       3 the hash of what the edge shares with others (see below)
--       4 the away key of any client
-- ARGV: 1 edge
--       2 lease, ms
--       3 "1" if this is all that the edge has (else what changed)
--       4 how long clients that left are away, ms
--       5 the start of an away key
--       6 "1" to look at the other edges and at Redis' memory, which takes longer than all the rest for one client
--       7 "1" if Redis was found to have no room: clients that left aren't noted one by one
--       8 the format that the edge understands
--       9 how many clients follow: client, entry ("" if it left), ...; then channel, count (0 deletes it), ...
-- Returns 0 if the hash is gone, so that the edge registers everything again; else
-- {bytes that the edge's part may take in all, bytes by which it may grow now, clients to register again}; -1 stands for no limit. Without
-- a look, -1, -1 and none.
local edge, lease_ms, whole, away_ms, away_start = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', ARGV[4], ARGV[5]
local look, full, clients = ARGV[6] == '1', ARGV[7] == '1', tonumber(ARGV[9])
local edge_start, shared_start = KEYS[1]:sub(1, -#edge - 1), KEYS[3]:sub(1, -#edge - 1)
if whole then
  redis.call('DEL', KEYS[1])
elseif redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end

local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)

-- This edge first, then the others by lease, the one that renewed last first.
local order, others = { edge }, {}
for _, other in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, -1)) do
  if other ~= edge then
    order[#order + 1] = other
    others[#others + 1] = edge_start .. other
  end
end

-- A client that several edges have counts at the one that comes first in `order` when it is registered. Each other edge notes in its
-- shared hash, which ends with its lease as its counts do, which of the client's channels count elsewhere (`c:<client>`, names with a
-- space between), how many of its clients do so per channel (`n:<channel>`), and how many notes these are (`units`, which are bounded).
local UNITS, HOLDERS, ENTRY_BYTES = 16384, 4, 16384

local function undo(of, field)
  local key = shared_start .. of
  local note = redis.call('HGET', key, field)
  if not note then return end
  local units = 1
  for name in note:gmatch('%S+') do
    units = units + 1
    if redis.call('HINCRBY', key, 'n:' .. name, -1) <= 0 then redis.call('HDEL', key, 'n:' .. name) end
  end
  redis.call('HDEL', key, field)
  if redis.call('HINCRBY', key, 'units', -units) <= 0 then
    redis.call('DEL', key)
    redis.call('HDEL', edge_start .. of, 'shared')
  end
end

local function write_note(of, field, names)
  local key = shared_start .. of
  for _, name in ipairs(names) do redis.call('HINCRBY', key, 'n:' .. name, 1) end
  redis.call('HSET', key, field, table.concat(names, ' '))
  if redis.call('HINCRBY', key, 'units', 1 + #names) == 1 + #names then redis.call('HSET', edge_start .. of, 'shared', 1) end
  redis.call('PEXPIRE', key, of == edge and lease_ms or redis.call('PTTL', edge_start .. of))
end

local function names_elsewhere(entry, seen)
  local decoded, value = pcall(cjson.decode, entry)
  local names = {}
  for _, name in ipairs(decoded and value.channels or {}) do
    if seen[name] then
      names[#names + 1] = name
    elseif name:sub(1, 7) ~= 'client:' then
      seen[name] = true
    end
  end
  return names
end

local function count_once(field)
  local notes, seen, fits = {}, {}, true
  for _, of in ipairs(order) do
    undo(of, field)
    local entry = #notes < HOLDERS and redis.call('HGET', edge_start .. of, field)
    if entry and #entry <= ENTRY_BYTES then
      local names = names_elsewhere(entry, seen)
      local units = tonumber(redis.call('HGET', shared_start .. of, 'units') or '0')
      fits = fits and units + 1 + #names <= UNITS
      notes[#notes + 1] = { of, names }
    end
  end
  if #notes < 2 or not fits then return end
  for _, note in ipairs(notes) do write_note(note[1], field, note[2]) end
end

local function is_elsewhere(field)
  for _, other in ipairs(others) do
    if redis.call('HEXISTS', other, field) == 1 then return true end
  end
end

local shares = redis.call('EXISTS', KEYS[3]) == 1
if shares and whole then redis.call('HSET', KEYS[1], 'shared', 1) end
for i = 10, 9 + clients * 2, 2 do
  local client, entry = ARGV[i], ARGV[i + 1]
  local field = 'c:' .. client
  local was_shared = shares and redis.call('HEXISTS', KEYS[3], field) == 1
  if entry ~= '' then
    redis.call('HSET', KEYS[1], field, entry)
    redis.call('DEL', away_start .. client)
    if was_shared or is_elsewhere(field) then
      shares = true
      count_once(field)
    end
  else
    redis.call('HDEL', KEYS[1], field)
    redis.call('SET', full and KEYS[4] or away_start .. client, edge, 'PX', away_ms)
    if was_shared then count_once(field) end
  end
end
for i = 10 + clients * 2, #ARGV, 2 do
  if ARGV[i + 1] == '0' then
    redis.call('HDEL', KEYS[1], 'n:' .. ARGV[i])
  else
    redis.call('HSET', KEYS[1], 'n:' .. ARGV[i], ARGV[i + 1])
  end
end

redis.call('HSET', KEYS[1], 'edge', edge, 'format', ARGV[8])
if shares then redis.call('PEXPIRE', KEYS[3], lease_ms) end
redis.call('PEXPIRE', KEYS[1], lease_ms)
redis.call('ZADD', KEYS[2], now + lease_ms, edge)
redis.call('PEXPIRE', KEYS[2], lease_ms)
if not look then return { -1, -1, {} } end

-- An edge that has missed a renewal is no peer: it may be dead. Clients that were shared with it are registered again, and count here
-- before its lease ends.
local known, peers, recheck = {}, {}, {}
local alive = redis.call('ZRANGEBYSCORE', KEYS[2], now + lease_ms / 2, '+inf')
for _, peer in ipairs(alive) do
  known[peer] = true
  if peer ~= edge then peers[#peers + 1] = peer end
end
for peer in (redis.call('HGET', KEYS[1], 'peers') or ''):gmatch('%S+') do
  if not known[peer] and #recheck == 0 then
    for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do
      if field:sub(1, 2) == 'c:' then recheck[#recheck + 1] = field:sub(3) end
    end
  end
end
redis.call('HSET', KEYS[1], 'peers', table.concat(peers, ' '))

-- All edges together may take a part of `maxmemory`, and grow only while Redis is well below the 75 % at which ingest refuses pushes:
-- each by half of its share of what is left, since others grow meanwhile.
local PART, FULL = 0.25, 0.7
local memory = redis.pcall('INFO', 'memory')
local most = type(memory) == 'string' and tonumber(memory:match('maxmemory:(%d+)') or '0') or 0
if most == 0 then return { -1, -1, recheck } end
local used, edges = tonumber(memory:match('used_memory:(%d+)')), redis.call('ZCARD', KEYS[2])
return { math.floor(PART * most / edges), math.floor(math.max(0, FULL * most - used) / edges / 2), recheck }
