#!lua flags=allow-oom
-- Leave a call to workers that have its function. KEYS: calls, functions that workers announced, functions that were missed, the function's
-- shelf, bell. ARGV: id, token, function, start of a claim's key, of what is known of earlier runs, ms that an announcement holds, ms that
-- a call waits for a worker with its function, ms until the call comes up again whatever becomes of the shelf.
-- Returns 1, or 0 if no worker has had the function for too long.
check_calls(KEYS[1])
local claim = ARGV[4] .. ARGV[1]
local held = read_claim(claim)
if not held or held.token ~= ARGV[2] then return 1 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[3]) or '0')
if now - last > tonumber(ARGV[6]) then
  redis.call('ZADD', KEYS[3], 'NX', now, ARGV[3])
  local missed = math.max(last, tonumber(redis.call('ZSCORE', KEYS[3], ARGV[3])))
  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1001)
  redis.call('PEXPIRE', KEYS[3], 86400000)
  if now - missed >= tonumber(ARGV[7]) then return 0 end
end
unclaim(claim, ARGV[5] .. ARGV[1], held.deaths)
redis.call('ZADD', KEYS[1], 'XX', now + ARGV[8], ARGV[1])
redis.call('ZADD', KEYS[4], held.due, ARGV[1])
redis.call('PEXPIRE', KEYS[4], 60000)
ring(KEYS[5])
return 1
