#!lua flags=allow-oom
-- Claim calls that are due. KEYS: calls, what this worker claimed last, bell, functions that workers announced, who makes room for calls
-- that run alone, then for each function that this worker has its shelf and its calls that have to run alone. ARGV: token, calls at most,
-- bytes of payload at most, lease_ms, start of a payload's key, of a claim's, of a count of tries, of the calls that have to run alone,
-- arq's aborts ('' for none), deaths after which a call runs alone, ms that an announcement holds, "1" if calls run here, "1" if one that
-- runs alone is to come first.
-- A call stays in the queue until it ends; while it is claimed its score is when the claim runs out, so it comes up by itself if its worker
-- dies.
-- One that has to run alone is set aside for a worker that has its function and runs nothing. A worker that is busy makes room: it takes
-- nothing more. One does so at a time, so that calls go on elsewhere.
-- Returns {Redis' time in ms, when the next call is due ('' if there is none), "1" if room is to be made, then id, due, deaths, tries, "1"
-- if it is to be aborted, payload of each}.
local calls, memory, bell, token = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local most, most_bytes, busy = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[12] == '1'
check_calls(calls)
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local ends = string.format('%.0f', now + ARGV[4])
local reply, ids, bytes = {string.format('%.17g', now), '', '0'}, {}, 0
local shelves, alone, mine = {}, {}, {}
for i = 6, #KEYS, 2 do
  shelves[#shelves + 1], alone[#alone + 1] = KEYS[i], KEYS[i + 1]
  mine[KEYS[i + 1]] = true
end

local function give_out(id, due, deaths)
  local payload = read_payload(ARGV[5] .. id)
  local aborted = ARGV[9] ~= '' and redis.call('ZSCORE', ARGV[9], id)
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4] = id, due, deaths, read_payload(ARGV[7] .. id) or '0'
  reply[at + 5], reply[at + 6] = aborted and '1' or '0', payload
  ids[#ids + 1] = id
  bytes = bytes + (payload and #payload or 0)
end

-- Returns false if nobody has the call's function: then it isn't run, and whoever claims it says so.
local function set_aside(id, due)
  local read, job = pcall(cjson.decode, read_payload(ARGV[5] .. id) or '')
  if not read or type(job) ~= 'table' or type(job.f) ~= 'string' then return false end
  local key = ARGV[8] .. job.f
  if not mine[key] and now - tonumber(redis.call('ZSCORE', KEYS[4], job.f) or '0') > tonumber(ARGV[11]) then return false end
  redis.call('ZADD', key, due, id)
  redis.call('PEXPIRE', key, 60000)
  redis.call('ZADD', calls, 'XX', string.format('%.0f', now + 15000), id) -- it comes up again, whatever becomes of the others
  return true
end

local function claim(id, due, its_turn)
  local held, deaths = read_claim(ARGV[6] .. id), 0
  if held and held.ends > now then -- it runs; `Job.abort` has moved it
    redis.call('ZADD', calls, 'XX', held.ends, id)
    return
  end
  if held then due, deaths = held.due, held.deaths + (held.token == NOBODY and 0 or 1) end
  if deaths == tonumber(ARGV[10]) and not its_turn and set_aside(id, due) then return end
  write_claim(ARGV[6] .. id, token, deaths, ends, due, ARGV[4])
  redis.call('ZADD', calls, 'XX', ends, id)
  give_out(id, due, deaths)
end

local function room() return #ids < most and bytes < most_bytes end

local function claim_alone()
  for _, key in ipairs(alone) do
    local first = redis.call('ZPOPMIN', key)
    while first[1] and #ids == 0 do
      if redis.call('ZSCORE', calls, first[1]) and redis.call('EXISTS', ARGV[6] .. first[1]) == 1 then claim(first[1], first[2], true) end
      if #ids > 0 then
        most = 0
        return
      end
      first = redis.call('ZPOPMIN', key)
    end
  end
end

local before = redis.call('GET', memory)
if before and before:sub(1, #token + 1) == token .. ' ' then -- the answer was lost
  for _, id in ipairs(cmsgpack.unpack(before:sub(#token + 2))) do
    local held = read_claim(ARGV[6] .. id)
    if held and held.token == token then
      write_claim(ARGV[6] .. id, token, held.deaths, ends, held.due, ARGV[4])
      redis.call('ZADD', calls, 'XX', ends, id)
      give_out(id, held.due, held.deaths)
    end
  end
  return reply
end

if alone[1] and redis.call('EXISTS', unpack(alone)) > 0 then
  local worker = token:match('^(.*)%.')
  if not busy and ARGV[13] == '1' then
    claim_alone()
  elseif busy and (redis.call('GET', KEYS[5]) or worker) == worker then
    redis.call('SET', KEYS[5], worker, 'PX', 3000)
    most, reply[3] = 0, '1'
  end
end
if shelves[1] and redis.call('EXISTS', unpack(shelves)) > 0 then
  for _, shelf in ipairs(shelves) do
    while room() do
      local first = redis.call('ZPOPMIN', shelf)
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
if not busy and #ids == 0 then claim_alone() end

if #ids > 0 then redis.call('SET', memory, token .. ' ' .. cmsgpack.pack(ids), 'PX', 60000) end
reply[2] = redis.call('ZRANGE', calls, 0, 0, 'WITHSCORES')[2] or ''
if reply[2] ~= '' and tonumber(reply[2]) <= now then ring(bell) end -- more than this worker takes
return reply
