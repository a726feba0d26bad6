-- Append outside the line. KEYS: log, generations. ARGV: prefix, fresh label, state_ms, events.
return append(KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3]), 4)
