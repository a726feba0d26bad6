#!lua flags=allow-oom
-- Take a queue's lease, if it is free or the caller's own.
-- KEYS[1]  the queue's state: `epoch`, `replid`, `last`, `tickets`
-- KEYS[2]  the lease: its owner
-- KEYS[3]  batches in flight, by field
-- ARGV[1]  owner
-- ARGV[2]  how long the lease lasts, ms
-- ARGV[3]  the lowest epoch that will do
-- Returns {epoch, ticket in flight, ...}, or {} while another owner holds the lease.
-- If the former owner didn't release the lease, it died. Each job that it had in flight has then seen a death, and is taken alone from now
-- on.
local state, lease, in_flight = KEYS[1], KEYS[2], KEYS[3]
local caller, lease_ms, lowest = ARGV[1], ARGV[2], tonumber(ARGV[3])
local owner = redis.call('GET', lease)
if owner and owner ~= caller then return {} end
local ended = tonumber(redis.call('HGET', state, 'epoch') or '0')
local epoch = ended
if not owner then
  epoch = math.max(ended + 1, lowest)
  redis.call('HSETNX', state, 'replid', replication_id()) -- a take that knows the epoch knows this, too
  redis.call('HSET', state, 'epoch', string.format('%.0f', epoch))
end
redis.call('SET', lease, caller, 'PX', lease_ms)

local reply = {string.format('%.0f', epoch)}
local batches = redis.call('HGETALL', in_flight)
for i = 1, #batches, 2 do
  local batch = read_batch(batches[i], batches[i + 1])
  local died = not owner and batch.epoch == ended
  if died then redis.call('HDEL', in_flight, batch.field) end
  for position, id in ipairs(batch.ids) do
    if id then
      local ticket = batch.series .. '.' .. string.format('%.0f', batch.first + position - 1)
      reply[#reply + 1] = ticket
      if died then redis.call('HSET', in_flight, ticket, write_batch(ended, batch.deaths + 1, {id}, {batch.scores[position]})) end
    end
  end
end
return reply
