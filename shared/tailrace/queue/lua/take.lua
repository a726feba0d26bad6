#!lua flags=allow-oom
-- Take a batch.
-- KEYS[1]  the queue's state: `epoch`, `last` (the highest score given), `replid`, `tickets` (the last number given)
-- KEYS[2]  the queue
-- KEYS[3]  batches in flight, by field
-- ARGV[1]  epoch
-- ARGV[2]  the most jobs
-- ARGV[3]  the most bytes of payload
-- ARGV[4]  start of a payload's key
-- ARGV[5]  how far from now a job may be due, ms; later scores are taken as mistakes
-- ARGV[6]  ... the batches that the holder knows it has
-- Returns {"refused", the queue's epoch}, or {"done", Redis's time in ms, when the next job is due ('' if none is)}, followed by
-- {field, deaths, then of each job: id, score, payload} if a batch was taken. An id is nil if the job has ended. A payload is nil if its
-- key
-- is missing or no string.
--
-- Batches in flight that the holder doesn't name come first, whatever the clock says. History that would break without this rule: a holder
-- takes jobs 1 and 2, and the answer is lost. If the next take gave out job 3, its events would be appended before those of 1 and 2.
--
-- Tickets are never used again: shards remember commits by ticket. A Redis that restarted or was promoted may have lost the last tickets
-- that
-- it gave out, so the numbers then jump by PASSED_OVER.
local PASSED_OVER = 2 ^ 32
local state_key, queue, in_flight = KEYS[1], KEYS[2], KEYS[3]
local state = redis.call('HMGET', state_key, 'epoch', 'last', 'replid')
if state[1] ~= ARGV[1] then return {'refused', state[1] or '0'} end
local epoch, most, most_bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local payload_prefix, never_ms = ARGV[4], ARGV[5]
local now = precise_now_ms()
local reply = {'done', string.format('%.17g', now), ''}

local mine, named = {}, #ARGV > 5
for i = 6, #ARGV do mine[ARGV[i]] = true end
local batches = redis.call('HGETALL', in_flight)
local left, value, lowest
for i = 1, #batches, 2 do
  if mine[batches[i]] then
    if batches[i + 1]:match('^%d+ (%d+) ') ~= '0' then return reply end -- it has seen a death, so it stays alone in flight
  else
    local first = tonumber(batches[i]:match('%.(%d+)$'))
    if not left or first < lowest then left, value, lowest = batches[i], batches[i + 1], first end
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
  redis.call('HSET', in_flight, left, write_batch(epoch, batch.deaths, batch.ids, batch.scores))
  reply[3], reply[4], reply[5] = reply[2], left, batch.deaths -- there may be more of these
  for position, payload in ipairs(payloads_of(batch.ids, 1, #batch.ids)) do
    give_out(position, batch.ids[position], batch.scores[position], payload)
  end
  return reply
end

local due = string.format('%.17g', math.max(now, tonumber(state[2] or '0')))
local waiting = redis.pcall('ZRANGEBYSCORE', queue, '-inf', due, 'WITHSCORES', 'LIMIT', 0, most)
if waiting.err then return redis.error_reply('WRONGTYPE ' .. queue .. ' is no sorted set: rename or delete it') end
local lost = #waiting == 0
if lost then -- a score in another unit than ms, or +inf, would never be due
  local never = string.format('%.17g', now + never_ms)
  waiting = redis.call('ZRANGEBYSCORE', queue, never, '+inf', 'WITHSCORES', 'LIMIT', 0, most)
end
local ids, scores, given, bytes, full, step = {}, {}, 0, 0, false, 1
for i = 1, #waiting, 2 do
  ids[#ids + 1], scores[#scores + 1] = waiting[i], waiting[i + 1]
end
while given < #ids and not full do -- in small steps: hardly more is read than is given out
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
  local replid, passed = replication_id(), 0 -- before the first write, because INFO may be refused
  if lost then redis.call('ZREM', queue, unpack(ids)) else redis.call('ZREMRANGEBYRANK', queue, 0, given - 1) end
  if state[3] ~= replid then
    redis.call('HSET', state_key, 'replid', replid)
    passed = state[3] and PASSED_OVER or 0
  end
  local last = redis.call('HINCRBY', state_key, 'tickets', string.format('%.0f', given + passed))
  reply[4], reply[5] = ARGV[1] .. '.' .. string.format('%.0f', last - given + 1), 0
  redis.call('HSET', in_flight, reply[4], write_batch(epoch, 0, ids, scores))
end
reply[3] = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2] or ''
return reply
