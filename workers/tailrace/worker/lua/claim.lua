#!lua flags=allow-oom
-- Claim calls that are due. KEYS: calls, what this worker claimed last, bell, then the shelves of functions that it has. ARGV: token, calls at
-- most, bytes of payload at most, lease_ms, start of a payload's key, of a claim's, of a count of tries, arq's aborts ('' for none).
-- A call stays in the queue until it ends; while it is claimed its score is when the claim runs out, so it comes up by itself if its worker dies.
-- Returns {Redis' time in ms, when the next call is due ('' if there is none), then id, due, deaths, tries, "1" if it is to be aborted, payload of each}.
local calls, memory, bell, token = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local most, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
check_calls(calls)
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local ends = string.format('%.0f', now + ARGV[4])
local reply, ids, bytes = {string.format('%.17g', now), ''}, {}, 0

local function give_out(id, due, deaths)
  local payload = read_payload(ARGV[5] .. id)
  local aborted = ARGV[8] ~= '' and redis.call('ZSCORE', ARGV[8], id)
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4] = id, due, deaths, read_payload(ARGV[7] .. id) or '0'
  reply[at + 5], reply[at + 6] = aborted and '1' or '0', payload
  ids[#ids + 1] = id
  bytes = bytes + (payload and #payload or 0)
end

local function claim(id, due)
  local held, deaths = read_claim(ARGV[6] .. id), 0
  if held and held.ends > now then -- it runs; `Job.abort` has moved it
    redis.call('ZADD', calls, 'XX', held.ends, id)
    return
  end
  if held then due, deaths = held.due, held.deaths + 1 end
  write_claim(ARGV[6] .. id, token, deaths, ends, due, ARGV[4])
  redis.call('ZADD', calls, 'XX', ends, id)
  give_out(id, due, deaths)
end

local function room() return #ids < most and bytes < most_bytes end

local before = redis.call('GET', memory)
if before and before:sub(1, #token + 1) == token .. ' ' then -- the answer was lost
  for _, id in ipairs(cmsgpack.unpack(before:sub(#token + 2))) do
    local held = read_claim(ARGV[6] .. id)
    if held and held.token == token then give_out(id, held.due, held.deaths) end
  end
  return reply
end

if KEYS[4] and redis.call('EXISTS', unpack(KEYS, 4)) > 0 then
  for i = 4, #KEYS do
    while room() do
      local first = redis.call('ZPOPMIN', KEYS[i])
      if not first[1] then break end
      if redis.call('ZSCORE', calls, first[1]) then claim(first[1], first[2]) end
    end
  end
end
while room() do
  local waiting = redis.call('ZRANGEBYSCORE', calls, '-inf', string.format('%.17g', now), 'WITHSCORES', 'LIMIT', 0, most - #ids)
  if not waiting[1] then break end
  for i = 1, #waiting, 2 do
    if not room() then break end
    claim(waiting[i], waiting[i + 1])
  end
end

if #ids > 0 then redis.call('SET', memory, token .. ' ' .. cmsgpack.pack(ids), 'PX', 60000) end
reply[2] = redis.call('ZRANGE', calls, 0, 0, 'WITHSCORES')[2] or ''
if reply[2] ~= '' and tonumber(reply[2]) <= now then ring(bell) end -- more than this worker takes
return reply
