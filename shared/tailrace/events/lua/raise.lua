#!lua flags=allow-oom
-- Raise a shard to a holder's epoch. From then on no former holder can append.
-- KEYS[1]  the partition's commits
-- ARGV[1]  epoch
-- ARGV[2]  holder
-- Returns {"done", field, outcome, ...} with all outcomes that the shard remembers, or {"refused", the shard's epoch}.
-- A queue that has lost acknowledged writes may grant one epoch twice, to two holders. The commits here then have the first one's numbers,
-- so
-- the second one is refused.
local state = redis.call('HMGET', KEYS[1], 'epoch', 'holder')
local epoch, here = tonumber(ARGV[1]), tonumber(state[1] or '0')
if epoch < here or (epoch == here and (state[2] or '') ~= ARGV[2]) then return {'refused', tostring(here)} end
if epoch > here then redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'number', '0', 'holder', ARGV[2]) end
local reply = {'done'}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i]:sub(1, 2) == 'o:' then
    reply[#reply + 1] = all[i]
    reply[#reply + 1] = all[i + 1]
  end
end
return reply
