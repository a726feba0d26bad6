#!lua flags=allow-oom
-- Add a revocation to a shard's set and append it to the shard's log, once for each id. Needs generation.lua.
-- KEYS[1]  the log
-- KEYS[2]  the generations
-- KEYS[3]  the set: a hash of `r:<id>` "<entry> <before, ms> <until, ms> <text>", `before` (the latest, ms), `last` (the newest entry),
--          `bytes` (of all texts)
-- KEYS[4]  the ids by `until`
-- ARGV[1]  fresh label
-- ARGV[2]  id
-- ARGV[3]  `before` in ms; '' if this shard is the first, and fixes it
-- ARGV[4]  where it is fixed here: the earliest that will do, ms
-- ARGV[5]  `until` in ms; '' for so many ms after `before` as the next says
-- ARGV[6]  ms from `before` to `until`
-- ARGV[7]  who is concerned: members of a JSON object, a comma behind each
-- ARGV[8]  revocations at most
-- ARGV[9]  bytes of text at most
-- ARGV[10] channel of the entry
-- Returns {"done", before, until, entry, text}, or {"full", why}.
-- The entry is linked like any other, so that a reader that missed it in a trimmed log finds that it fell off. Its channel is one that
-- nobody can listen to: an edge that doesn't know revocations keeps the entry in its ring and delivers it to nobody.
local log, gen, set, ends = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, channel, PRUNED = ARGV[2], ARGV[10], 1000
local label, top = current_generation(gen, log, ARGV[1])
local now = now_ms()

-- Everything that may be of another type is read before the first write of this revocation.
local past = redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, PRUNED)
local state = redis.call('HMGET', set, 'before', 'last', 'bytes', 'r:' .. id)
local latest, last, bytes, known = tonumber(state[1] or '0'), state[2] or '0-0', tonumber(state[3] or '0'), state[4]
if known then
  redis.call('HSET', set, 'last', last) -- says nothing new, but WAIT waits for what its connection wrote
  local entry, before, till, text = known:match('^(%S+) (%d+) (%d+) (.*)$')
  return {'done', before, till, entry, text}
end

for _, each in ipairs(past) do
  bytes = bytes - redis.call('HSTRLEN', set, 'r:' .. each)
  redis.call('HDEL', set, 'r:' .. each)
  redis.call('ZREM', ends, each)
end
if #past > 0 then redis.call('HSET', set, 'bytes', string.format('%.0f', bytes)) end

local before = ARGV[3] ~= '' and tonumber(ARGV[3]) or math.max(tonumber(ARGV[4]), latest + 1)
local till = ARGV[5] ~= '' and tonumber(ARGV[5]) or before + tonumber(ARGV[6])
local text = string.format('{"id":%s,%s"before":%.3f,"until":%.3f}', cjson.encode(id), ARGV[7], before / 1000, till / 1000)
local value = string.format(' %.0f %.0f ', before, till) .. text
if redis.call('ZCARD', ends) >= tonumber(ARGV[8]) then return {'full', ARGV[8] .. ' revocations'} end
if bytes + #value > tonumber(ARGV[9]) then return {'full', ARGV[9] .. ' bytes of revocations'} end

local head = channel .. ' ' .. last .. ' ' .. label .. ' ' .. top
local entry = redis.call('XADD', log, '*', 'h', head, 'b', 'event: revocation\ndata: ' .. text .. '\n\n')
value = entry .. value
redis.call('HSET', gen, 'top', entry)
latest, bytes = string.format('%.0f', math.max(latest, before)), string.format('%.0f', bytes + #value)
redis.call('HSET', set, 'r:' .. id, value, 'last', entry, 'before', latest, 'bytes', bytes)
redis.call('ZADD', ends, string.format('%.0f', till), id)
local longest = redis.call('ZRANGE', ends, -1, -1, 'WITHSCORES')[2]
for _, key in ipairs({set, ends}) do redis.call('PEXPIREAT', key, string.format('%.0f', longest + 60000)) end
return {'done', string.format('%.0f', before), string.format('%.0f', till), entry, text}
