#!lua flags=allow-oom
-- Release a lease. The epoch ends, jobs in flight have seen no death, and one worker that stands by is woken.
-- KEYS[1]  the queue's state
-- KEYS[2]  the lease
-- KEYS[3]  the bell of workers that stand by
-- ARGV[1]  epoch
-- Returns 1, or 0 if the lease was lost.
local state, lease, standby, epoch = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
if redis.call('HGET', state, 'epoch') ~= epoch then return 0 end
redis.call('HINCRBY', state, 'epoch', 1)
redis.call('DEL', lease, standby)
redis.call('RPUSH', standby, '1')
redis.call('PEXPIRE', standby, 1000)
return 1
