#!lua flags=allow-oom
-- Keep claims, also those that ran out and that nobody took. KEYS: calls, their time. ARGV: lease_ms, start of a claim's key, then id and
-- token of each.
-- Returns the places, from 1, of those whose claim is lost.
check_calls(KEYS[1])
local clock, lost = redis.call('TIME'), {}
local now = clock[1] * 1000 + clock[2] / 1000
local ends = calls_time(KEYS[2], now, ARGV[1]) + ARGV[1]
for i = 3, #ARGV, 2 do
  local key = ARGV[2] .. ARGV[i]
  local held = read_claim(key)
  if held and held.token == ARGV[i + 1] then
    held.ends = ends
    write_claim(key, held, ARGV[1])
    redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', now + ARGV[1]), ARGV[i])
  else
    lost[#lost + 1] = (i - 1) / 2
    revive(key, held, ARGV[i + 1])
  end
end
return lost
