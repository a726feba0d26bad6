#!lua flags=allow-oom
-- Renew claims, also those that have expired and that nobody took.
-- KEYS[1]  the queue of calls
-- KEYS[2]  the calls' own time, see time.lua
-- ARGV[1]  how long the claims last, ms
-- ARGV[2]  start of a claim's key
-- ARGV[3]  ... id and token of each claim
-- Returns the positions, from 1, of claims that are lost.
local calls, time, lease_ms, claim_start = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
check_calls(calls)
local now, lost = precise_now_ms(), {}
local ends = calls_time(time, now, lease_ms) + lease_ms
for i = 3, #ARGV, 2 do
  local key = claim_start .. ARGV[i]
  local held = read_claim(key)
  if held and held.token == ARGV[i + 1] then
    held.ends = ends
    write_claim(key, held, lease_ms)
    redis.call('ZADD', calls, 'XX', string.format('%.0f', now + lease_ms), ARGV[i])
  else
    lost[#lost + 1] = (i - 1) / 2
    revive(key, held, ARGV[i + 1])
  end
end
return lost
