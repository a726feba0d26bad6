-- Append outside the line. KEYS: log, generations. ARGV: prefix, fresh label, state_ms, trim?, log_age_ms, log_bytes, events.
local outcome = append(KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3]), 7)
if ARGV[4] == '1' then trim(KEYS[1], tonumber(ARGV[5]), tonumber(ARGV[6])) end
return outcome
