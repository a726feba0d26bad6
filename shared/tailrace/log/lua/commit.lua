-- Append in the line: each commit of a holder's epoch once, and in turn.
-- KEYS: log, generations, commits. ARGV: prefix, fresh label, state_ms, epoch, number, how many outcomes to forget, their fields, events.
-- Returns {"done", outcome}, or {"refused", the shard's epoch}, or {"early", last number}.
local epoch, number, forgotten = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local state = redis.call('HMGET', KEYS[3], 'epoch', 'number')
local here, last = tonumber(state[1] or '0'), tonumber(state[2] or '0')
local field = 'o:' .. ARGV[4] .. ':' .. ARGV[5]
if here ~= epoch then return {'refused', tostring(here)} end
if number > last + 1 then return {'early', tostring(last)} end
if number <= last then return {'done', redis.call('HGET', KEYS[3], field) or ''} end
for i = 7, 6 + forgotten do redis.call('HDEL', KEYS[3], ARGV[i]) end
local outcome = append(KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3]), 7 + forgotten)
redis.call('HSET', KEYS[3], 'number', ARGV[5], field, outcome)
return {'done', outcome}
