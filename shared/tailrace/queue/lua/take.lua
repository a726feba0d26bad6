#!lua flags=allow-oom
-- Give out a batch. KEYS: line, queue, hand. ARGV: epoch, jobs at most, bytes of payload at most, start of a payload's key, ms from now
-- beyond which nothing is due in earnest, then the batches that the holder has. Returns {"refused", the queue's epoch} or {"done", Redis'
-- time in ms, when the next job is due ('' if there is none)}, followed by {field, deaths, then id, score and payload of each of its jobs}
-- if a batch was given out. An id is nil where the job has ended, and a payload where it is gone or of another type.
-- What is in hand and isn't named comes first, whatever the clock says: its answer was lost, or a former holder left it.
-- Tickets never come again. A Redis that restarted, or was promoted, may have lost the last that it gave out: it passes over many.
local PASSED_OVER = 2 ^ 32
local state = redis.call('HMGET', KEYS[1], 'epoch', 'last', 'replid')
if state[1] ~= ARGV[1] then return {'refused', state[1] or '0'} end
local epoch, most, most_bytes, payload_prefix = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local reply = {'done', string.format('%.17g', now), ''}

local mine, named = {}, #ARGV > 5
for i = 6, #ARGV do mine[ARGV[i]] = true end
local hand = redis.call('HGETALL', KEYS[3])
local left, value, lowest
for i = 1, #hand, 2 do
  if mine[hand[i]] then
    if hand[i + 1]:match('^%d+ (%d+) ') ~= '0' then return reply end -- it has seen a death, and is alone
  else
    local first = tonumber(hand[i]:match('%.(%d+)$'))
    if not left or first < lowest then left, value, lowest = hand[i], hand[i + 1], first end
  end
end

local function give_out(position, id, score, payload)
  local at = 3 + position * 3
  reply[at], reply[at + 1], reply[at + 2] = id, score, payload
end

local function payloads_of(ids, from, to)
  local names = {}
  for i = from, to do names[#names + 1] = payload_prefix .. (ids[i] or '') end
  return redis.call('MGET', unpack(names))
end

if left then
  local batch = read_batch(left, value)
  if batch.deaths > 0 and named then return reply end
  redis.call('HSET', KEYS[3], left, write_batch(epoch, batch.deaths, batch.ids, batch.scores))
  reply[3], reply[4], reply[5] = reply[2], left, batch.deaths -- there may be more
  for position, payload in ipairs(payloads_of(batch.ids, 1, #batch.ids)) do
    give_out(position, batch.ids[position], batch.scores[position], payload)
  end
  return reply
end

local due = string.format('%.17g', math.max(now, tonumber(state[2] or '0')))
local waiting = redis.pcall('ZRANGEBYSCORE', KEYS[2], '-inf', due, 'WITHSCORES', 'LIMIT', 0, most)
if waiting.err then return redis.error_reply('WRONGTYPE ' .. KEYS[2] .. ' is no sorted set: rename or delete it') end
local lost = #waiting == 0
if lost then -- what has a score in another unit than ms, or +inf, would stay for ever
  local never = string.format('%.17g', now + ARGV[5])
  waiting = redis.call('ZRANGEBYSCORE', KEYS[2], never, '+inf', 'WITHSCORES', 'LIMIT', 0, most)
end
local ids, scores, given, bytes, full, step = {}, {}, 0, 0, false, 1
for i = 1, #waiting, 2 do
  ids[#ids + 1], scores[#scores + 1] = waiting[i], waiting[i + 1]
end
while given < #ids and not full do -- in small steps, so that not much more is read than is given out
  for _, payload in ipairs(payloads_of(ids, given + 1, math.min(given + step, #ids))) do
    bytes = bytes + (payload and #payload or 0)
    full = given > 0 and bytes > most_bytes
    if full then break end
    given = given + 1
    give_out(given, ids[given], scores[given], payload)
  end
  step = math.min(step * 2, 8)
end
for i = #ids, given + 1, -1 do
  ids[i], scores[i] = nil, nil
end
if given > 0 then
  local replid, passed = replication_id(), 0 -- before anything is written, for it may be refused
  if lost then redis.call('ZREM', KEYS[2], unpack(ids)) else redis.call('ZREMRANGEBYRANK', KEYS[2], 0, given - 1) end
  if state[3] ~= replid then
    redis.call('HSET', KEYS[1], 'replid', replid)
    passed = state[3] and PASSED_OVER or 0
  end
  local last = redis.call('HINCRBY', KEYS[1], 'tickets', string.format('%.0f', given + passed))
  reply[4], reply[5] = ARGV[1] .. '.' .. string.format('%.0f', last - given + 1), 0
  redis.call('HSET', KEYS[3], reply[4], write_batch(epoch, 0, ids, scores))
end
reply[3] = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or ''
return reply
