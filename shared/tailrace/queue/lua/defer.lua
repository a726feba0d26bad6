#!lua flags=allow-oom
-- Defer a call until a worker has its function.
-- KEYS[1]  the queue of calls
-- KEYS[2]  functions that workers announced
-- KEYS[3]  missed functions, by the time since when they are
-- KEYS[4]  the function's deferred calls
-- KEYS[5]  the queue's bell
-- ARGV[1]  id
-- ARGV[2]  token of the claim
-- ARGV[3]  function
-- ARGV[4]  start of a claim's key
-- ARGV[5]  start of the key of earlier runs
-- ARGV[6]  how long an announcement holds, ms
-- ARGV[7]  how long a call waits for a worker with its function, ms
-- ARGV[8]  when the call is due again whatever becomes of the deferred calls, ms from now
-- Returns 1, or 0 if no worker has had the function for too long.
local calls, announced, missing, deferred, bell = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, token, name, claim_start, past_start = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local announced_ms, wait_ms, again_ms = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
check_calls(calls)
local claim = claim_start .. id
local held = read_claim(claim)
if not held or held.token ~= token then return 1 end
local now = now_ms()
local last = tonumber(redis.call('ZSCORE', announced, name) or '0')
if now - last > announced_ms then
  redis.call('ZADD', missing, 'NX', now, name)
  local missed = math.max(last, tonumber(redis.call('ZSCORE', missing, name)))
  redis.call('ZREMRANGEBYRANK', missing, 0, -1001)
  redis.call('PEXPIRE', missing, 86400000)
  if now - missed >= wait_ms then return 0 end
end
unclaim(claim, past_start .. id, held.deaths)
redis.call('ZADD', calls, 'XX', now + again_ms, id)
redis.call('ZADD', deferred, held.due, id)
redis.call('PEXPIRE', deferred, 60000)
ring(bell)
return 1
