#!lua flags=allow-oom
-- Keep a lease, also one that ran out and that nobody took. KEYS: line, lease. ARGV: epoch, owner, lease_ms. Returns 1, or 0 if it is lost.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
