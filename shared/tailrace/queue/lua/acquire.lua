#!lua flags=allow-oom
-- Take a queue's lease, if it is free or the asker's own. KEYS: line, lease, hand. ARGV: owner, lease_ms, lowest epoch that will do.
-- Returns {epoch, tickets in hand ...}, or {} while somebody else holds it.
-- Where the former holder didn't give up, each job that it had in hand has seen a death, and is taken alone from now on.
local owner = redis.call('GET', KEYS[2])
if owner and owner ~= ARGV[1] then return {} end
local ended = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
local epoch = ended
if not owner then
  epoch = math.max(ended + 1, tonumber(ARGV[3]))
  redis.call('HSETNX', KEYS[1], 'replid', replication_id()) -- no take has lost this if the epoch is there
  redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', epoch))
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])

local reply = {string.format('%.0f', epoch)}
local hand = redis.call('HGETALL', KEYS[3])
for i = 1, #hand, 2 do
  local batch = read_batch(hand[i], hand[i + 1])
  local died = not owner and batch.epoch == ended
  if died then redis.call('HDEL', KEYS[3], batch.field) end
  for position, id in ipairs(batch.ids) do
    if id then
      local ticket = batch.series .. '.' .. string.format('%.0f', batch.first + position - 1)
      reply[#reply + 1] = ticket
      if died then redis.call('HSET', KEYS[3], ticket, write_batch(ended, batch.deaths + 1, {id}, {batch.scores[position]})) end
    end
  end
end
return reply
