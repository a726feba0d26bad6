#!lua flags=allow-oom
-- Read a shard's live revocations. Needs generation.lua, which may begin a generation.
-- KEYS[1]  the log
-- KEYS[2]  the generations
-- KEYS[3]  the set, as revoke.lua has it
-- KEYS[4]  the ids by `until`
-- ARGV[1]  fresh label
-- Returns {label, the log's last id, text, ...}: all revocations up to that entry that still concern somebody.
local label, top = current_generation(KEYS[2], KEYS[1], ARGV[1])
local reply, AT_ONCE = {label, top}, 1000
local ids = redis.call('ZRANGEBYSCORE', KEYS[4], '(' .. string.format('%.0f', now_ms()), '+inf')
for first = 1, #ids, AT_ONCE do
  local names = {}
  for i = first, math.min(first + AT_ONCE - 1, #ids) do names[#names + 1] = 'r:' .. ids[i] end
  for _, value in ipairs(redis.call('HMGET', KEYS[3], unpack(names))) do
    reply[#reply + 1] = value and value:match('^%S+ %d+ %d+ (.*)$') or nil
  end
end
return reply
