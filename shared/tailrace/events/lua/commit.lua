-- Append in order: each commit of an epoch once, and in the order of the numbers.
-- KEYS[1]  the log
-- KEYS[2]  the generations
-- KEYS[3]  the partition's commits: `epoch`, `number` of the last commit, `holder`, and outcomes `o:<epoch>:<number>`
-- ARGV[1]  to ARGV[7]: as in append.lua
-- ARGV[8]  epoch
-- ARGV[9]  number
-- ARGV[10] ... fields of outcomes to forget
-- Returns {"done", outcome}, {"refused", the shard's epoch}, or {"early", number of the last commit}.
--
-- Histories that would break without these rules. A repeat (`number <= last`): the answer to commit 7 is lost, the worker sends it again,
-- and its events are appended twice. A gap (`number > last + 1`): commits 7 and 8 are sent together, the connection drops 7, and 8 is
-- appended first. Another epoch: a worker is suspended with commit 7 in its socket; its successor commits 7's events; then the socket is
-- read.
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
