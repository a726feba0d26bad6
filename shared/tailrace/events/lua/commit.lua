-- Append in the line: each commit of a holder's epoch once, and in turn.
-- KEYS: log, generations, commits. ARGV: seven as append.lua has them, then epoch, number, and the fields of outcomes to forget.
-- Returns {"done", outcome}, or {"refused", the shard's epoch}, or {"early", last number}.
local epoch, number = tonumber(ARGV[8]), tonumber(ARGV[9])
local state = redis.call('HMGET', KEYS[3], 'epoch', 'number')
local here, last = tonumber(state[1] or '0'), tonumber(state[2] or '0')
local field = 'o:' .. ARGV[8] .. ':' .. ARGV[9]
if here ~= epoch then return {'refused', tostring(here)} end
if number > last + 1 then return {'early', tostring(last)} end
if number <= last then
  redis.call('HSET', KEYS[3], 'number', state[2]) -- says nothing new, but WAIT waits for what its connection wrote
  return {'done', redis.call('HGET', KEYS[3], field) or ''}
end
local outcome = append(KEYS[1], KEYS[2])
redis.call('HSET', KEYS[3], 'number', ARGV[9], field, outcome)
-- Not before: Redis asks only a script's first write whether there is memory.
if #ARGV > 9 then redis.call('HDEL', KEYS[3], unpack(ARGV, 10)) end
return {'done', outcome}
