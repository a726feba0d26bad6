-- Bring an edge's part of the registry up to date and renew its lease. KEYS: the edge's hash, the set of edges, the set
-- of clients that several edges have.
-- ARGV: edge, lease_ms, "1" if this is all that the edge has (else what changed), how many fields to set, fields and values, how many to
-- delete, fields, then for clients who left: key, ms, key, ms ... Returns 1, or 0 if the hash is gone, so that the edge says all anew.
local whole, sets = ARGV[3] == '1', tonumber(ARGV[4])
if whole then
  redis.call('DEL', KEYS[1])
elseif redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local start, others = KEYS[1]:sub(1, -#ARGV[1] - 1), {}
for _, edge in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if edge ~= ARGV[1] then others[#others + 1] = start .. edge end
end
for i = 5, 4 + sets * 2, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  local client = ARGV[i]:match('^c:(.*)$')
  for _, other in ipairs(client and others or {}) do
    if redis.call('HEXISTS', other, ARGV[i]) == 1 then
      redis.call('SADD', KEYS[3], client)
      redis.call('PEXPIRE', KEYS[3], 3600000)
    end
  end
end
local at = 5 + sets * 2
local deletes = tonumber(ARGV[at])
for i = at + 1, at + deletes do redis.call('HDEL', KEYS[1], ARGV[i]) end
for i = at + deletes + 1, #ARGV, 2 do
  if ARGV[i + 1] == '0' then redis.call('DEL', ARGV[i]) else redis.call('SET', ARGV[i], ARGV[1], 'PX', ARGV[i + 1]) end
end
local now = redis.call('TIME')
local ends = now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(ARGV[2])
redis.call('HSET', KEYS[1], 'edge', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], ends, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ends - tonumber(ARGV[2]))
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
