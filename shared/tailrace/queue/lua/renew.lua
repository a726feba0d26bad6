#!lua flags=allow-oom
-- Renew a lease, also one that has expired and that nobody took.
-- KEYS[1]  the queue's state
-- KEYS[2]  the lease
-- ARGV[1]  epoch
-- ARGV[2]  owner
-- ARGV[3]  how long the lease lasts, ms
-- Returns 1, or 0 if the lease is lost.
local state, lease, epoch, owner, lease_ms = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', state, 'epoch') ~= epoch then return 0 end
redis.call('SET', lease, owner, 'PX', lease_ms)
return 1
