-- Append outside the line. KEYS and ARGV: as append.lua has them.
return append(KEYS[1], KEYS[2])
