#!lua flags=allow-oom
-- Raise a shard to a holder's epoch: from here on no former holder can append. KEYS: commits. ARGV: epoch.
-- Returns {"done", field, outcome, ...} with all outcomes that the shard remembers, or {"refused", the shard's epoch}.
local epoch, here = tonumber(ARGV[1]), tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
if epoch < here then return {'refused', tostring(here)} end
if epoch > here then redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'number', '0') end
local reply = {'done'}
local state = redis.call('HGETALL', KEYS[1])
for i = 1, #state, 2 do
  if state[i]:sub(1, 2) == 'o:' then
    reply[#reply + 1] = state[i]
    reply[#reply + 1] = state[i + 1]
  end
end
return reply
