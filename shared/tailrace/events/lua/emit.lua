-- Append without an order among commits.
-- KEYS and ARGV: as in append.lua. Returns the outcome.
return append(KEYS[1], KEYS[2])
