#!lua flags=allow-oom
-- Give up a lease: the epoch ends, and what is in hand has seen no death. KEYS: line, lease. ARGV: epoch. Returns 1, or 0 if it was lost.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('DEL', KEYS[2])
return 1
