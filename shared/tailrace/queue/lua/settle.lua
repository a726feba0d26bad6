#!lua flags=allow-oom
-- End calls, or give them back.
-- KEYS[1]  the queue of calls
-- KEYS[2]  dead letters
-- KEYS[3]  the queue's bell
-- KEYS[4]  arq's aborts
-- KEYS[5]  what this worker settled last
-- ARGV[1]  start of a payload's key
-- ARGV[2]  start of a receipt's key
-- ARGV[3]  start of a listener's channel
-- ARGV[4]  how long receipts are kept, ms
-- ARGV[5]  the most dead letters
-- ARGV[6]  their most bytes
-- ARGV[7]  start of a claim's key
-- ARGV[8]  start of the key of earlier runs
-- ARGV[9]  start of a result's key
-- ARGV[10] number of this settlement
-- ARGV[11] ... for each call: id, token, verb ("end", "again" after a failure, "back" after a stop), ms to wait ("again"), tries so far
--          ("again"), result ('' for none), how long it is kept, ms ('' for always), receipt (''), listener (''), reason of a dead letter
--          (''), path, traceback
-- Returns the positions, from 1 and with spaces between, of calls whose claim was lost; nothing became of them here.
-- Each number of a worker runs once, so a settlement may be repeated until it is answered.
local payload_start, receipt_start, listener_start, receipt_ms, dead_most, dead_bytes = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local claim_start, past_start, result_start, dead, aborts, settled = ARGV[7], ARGV[8], ARGV[9], KEYS[2], KEYS[4], KEYS[5]
local number, calls, bell = tonumber(ARGV[10]), KEYS[1], KEYS[3]
local before, answer = (redis.call('GET', settled) or '0 '):match('^(%d+) (.*)$')
if number <= tonumber(before) then return answer end -- this request was answered, and the answer was lost
check_calls(calls)
local now, lost = precise_now_ms(), {}

local function give_back(id, score, held)
  unclaim(claim_start .. id, past_start .. id, held.deaths)
  redis.call('ZADD', calls, 'XX', score, id)
  if tonumber(score) <= now then ring(bell) end
end

local function finish(id, at)
  local payload = payload_start .. id
  tell(receipt_start, listener_start, receipt_ms, id, ARGV[at + 7], ARGV[at + 8])
  if ARGV[at + 9] ~= '' then
    dead_letter(dead, dead_most, tonumber(dead_bytes), calls, id, read_typed('GET', payload), ARGV[at + 9], ARGV[at + 10], ARGV[at + 11])
  end
  if ARGV[at + 5] ~= '' then
    local kept = ARGV[at + 6] ~= '' and {'PX', ARGV[at + 6]} or {}
    redis.call('SET', result_start .. id, ARGV[at + 5], unpack(kept))
  end
  redis.call('DEL', payload, claim_start .. id, past_start .. id)
  if ARGV[at + 7] == '' then redis.call('DEL', receipt_start .. id) end -- an earlier job of this id may have left one
  redis.call('ZREM', calls, id)
  redis.call('ZREM', aborts, id)
end

for at = 11, #ARGV, 12 do
  local id, verb = ARGV[at], ARGV[at + 2]
  local held = read_claim(claim_start .. id)
  if not held or held.token ~= ARGV[at + 1] then
    lost[#lost + 1] = (at + 1) / 12
    revive(claim_start .. id, held, ARGV[at + 1])
  elseif verb == 'end' then
    finish(id, at)
  elseif verb == 'back' then
    give_back(id, held.due, held)
  else
    write_past(past_start .. id, ARGV[at + 4], held.deaths)
    give_back(id, string.format('%.0f', now + ARGV[at + 3]), held)
  end
end
answer = table.concat(lost, ' ')
redis.call('SET', settled, ARGV[10] .. ' ' .. answer, 'PX', 60000)
return answer
