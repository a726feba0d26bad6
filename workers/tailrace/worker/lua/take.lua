#!lua flags=allow-oom
-- Give out a batch. KEYS: line, queue, hand. ARGV: epoch, jobs at most, bytes of payload at most, start of a payload's key, then the batches
-- that the holder has. Returns {"refused", the queue's epoch} or {"done", Redis' time in ms, when the next job is due ('' if there is none)},
-- followed by {field, deaths, then position, id, score, payload of each job} if a batch was given out.
-- What is in hand and isn't named comes first, whatever the clock says: its answer was lost, or a former holder left it.
local state = redis.call('HMGET', KEYS[1], 'epoch', 'last')
if state[1] ~= ARGV[1] then return {'refused', state[1] or '0'} end
local epoch, most, most_bytes, payload_prefix = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local reply = {'done', string.format('%.17g', now), ''}

local mine, named = {}, #ARGV > 4
for i = 5, #ARGV do mine[ARGV[i]] = true end
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
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4] = position, id, score, payload
end

if left then
  local batch = read_batch(left, value)
  if batch.deaths > 0 and named then return reply end
  redis.call('HSET', KEYS[3], left, write_batch(epoch, batch.deaths, batch.ids, batch.scores))
  reply[4], reply[5] = left, batch.deaths
  for position, id in ipairs(batch.ids) do
    if id then give_out(position, id, batch.scores[position], read_payload(payload_prefix .. id)) end
  end
  reply[3] = reply[2] -- there may be more
  return reply
end

local due = string.format('%.17g', math.max(now, tonumber(state[2] or '0')))
local waiting = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', due, 'WITHSCORES', 'LIMIT', 0, most)
local ids, scores, bytes = {}, {}, 0
for i = 1, #waiting, 2 do
  local payload = read_payload(payload_prefix .. waiting[i])
  bytes = bytes + (payload and #payload or 0)
  if i > 1 and bytes > most_bytes then break end
  local position = #ids + 1
  ids[position], scores[position] = waiting[i], waiting[i + 1]
  if position == 1 then reply[4], reply[5] = '', 0 end
  give_out(position, waiting[i], waiting[i + 1], payload)
end
if #ids > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, #ids - 1)
  local last = redis.call('HINCRBY', KEYS[1], 'tickets', #ids)
  reply[4] = ARGV[1] .. '.' .. string.format('%.0f', last - #ids + 1)
  redis.call('HSET', KEYS[3], reply[4], write_batch(epoch, 0, ids, scores))
end
reply[3] = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or ''
return reply
