#!lua flags=allow-oom
-- Give up a lease: the epoch ends, what is in hand has seen no death, and one who stands by is woken. KEYS: line, lease, bell of who stands
-- by.
-- ARGV: epoch. Returns 1, or 0 if it was lost.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('RPUSH', KEYS[3], '1')
redis.call('PEXPIRE', KEYS[3], 1000)
return 1
