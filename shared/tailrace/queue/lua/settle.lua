#!lua flags=allow-oom
-- End calls, or give them back. KEYS: calls, dead letters, bell, arq's aborts, what this worker settled last. ARGV: start of a payload's
-- key, of a receipt's, of a listener's, ms that receipts are kept, dead letters at most, their bytes at most, start of a claim's key, of
-- what is known of earlier runs, of a result, number, then for each call: id, token, "end", "again" or "back", ms to wait ("again"), tries
-- so far ("again"), result ('' for none), ms that it is kept ('' for ever), receipt (''), listener (''), reason of a dead letter (''),
-- path, traceback.
-- Who tries again has failed; who comes back was stopped. Each number of a worker runs once, so it may be repeated until it is answered.
-- Returns the places (from 1, with spaces between) of those whose claim was lost; nothing became of them here.
local number, calls, bell = tonumber(ARGV[10]), KEYS[1], KEYS[3]
local before, answer = (redis.call('GET', KEYS[5]) or '0 '):match('^(%d+) (.*)$')
if number <= tonumber(before) then return answer end -- it was lost
check_calls(calls)
local time, lost = redis.call('TIME'), {}
local now = time[1] * 1000 + time[2] / 1000

local function give_back(id, score, held)
  unclaim(ARGV[7] .. id, ARGV[8] .. id, held.deaths)
  redis.call('ZADD', calls, 'XX', score, id)
  if tonumber(score) <= now then ring(bell) end
end

local function finish(id, at)
  local payload = ARGV[1] .. id
  tell(ARGV[2], ARGV[3], ARGV[4], id, ARGV[at + 7], ARGV[at + 8])
  if ARGV[at + 9] ~= '' then
    bury(KEYS[2], ARGV[5], tonumber(ARGV[6]), calls, id, read_payload(payload), ARGV[at + 9], ARGV[at + 10], ARGV[at + 11])
  end
  if ARGV[at + 5] ~= '' then
    local kept = ARGV[at + 6] ~= '' and {'PX', ARGV[at + 6]} or {}
    redis.call('SET', ARGV[9] .. id, ARGV[at + 5], unpack(kept))
  end
  redis.call('DEL', payload, ARGV[7] .. id, ARGV[8] .. id)
  if ARGV[at + 7] == '' then redis.call('DEL', ARGV[2] .. id) end -- an earlier job of this id may have left one
  redis.call('ZREM', calls, id)
  redis.call('ZREM', KEYS[4], id)
end

for at = 11, #ARGV, 12 do
  local id, verb = ARGV[at], ARGV[at + 2]
  local held = read_claim(ARGV[7] .. id)
  if not held or held.token ~= ARGV[at + 1] then
    lost[#lost + 1] = (at + 1) / 12
    revive(ARGV[7] .. id, held, ARGV[at + 1])
  elseif verb == 'end' then
    finish(id, at)
  elseif verb == 'back' then
    give_back(id, held.due, held)
  else
    write_past(ARGV[8] .. id, ARGV[at + 4], held.deaths)
    give_back(id, string.format('%.0f', now + ARGV[at + 3]), held)
  end
end
answer = table.concat(lost, ' ')
redis.call('SET', KEYS[5], ARGV[10] .. ' ' .. answer, 'PX', 60000)
return answer
