#!lua flags=allow-oom
-- Claim calls that are due.
-- KEYS[1]  the queue of calls
-- KEYS[2]  the calls' own time, see time.lua
-- KEYS[3]  what this worker claimed last
-- KEYS[4]  the queue's bell
-- KEYS[5]  functions that workers announced
-- KEYS[6]  ... for each function of this worker: its deferred calls, its calls that must run alone, and who makes room for those
-- ARGV[1]  token of this claim, "<worker>.<number>"
-- ARGV[2]  the most calls
-- ARGV[3]  the most bytes of payload
-- ARGV[4]  how long the claims last, ms
-- ARGV[5]  start of a payload's key
-- ARGV[6]  start of a claim's key
-- ARGV[7]  start of the key of earlier runs
-- ARGV[8]  start of the key of a function's calls that must run alone
-- ARGV[9]  arq's aborts, or '' to ignore them
-- ARGV[10] deaths after which a call runs alone
-- ARGV[11] how long an announcement holds, ms
-- ARGV[12] "1" if calls run in this worker
-- ARGV[13] "1" if a call that runs alone comes first
-- Returns {Redis's time in ms, when the next call is due ('' if none is), "1" if this worker must make room, then of each call: id, due
-- time,
-- deaths, tries, "1" if it is to be aborted, payload}.
-- A call stays in the queue until it ends. While it is claimed, its score is when the claim expires, so it is due again if its worker dies.
-- A call that must run alone is set aside for a worker that has its function and runs nothing. A busy worker makes room for it by claiming
-- nothing more. Of the workers with that function, one at a time makes room, so other calls still run elsewhere.
local announced, payload_start, claim_start, past_start, alone_start = KEYS[5], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local aborts, lone_deaths, announced_ms, alone_first = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11]), ARGV[13] == '1'
local calls, memory, bell, token = KEYS[1], KEYS[3], KEYS[4], ARGV[1]
local worker = token:match('^(.*)%.')
local most, most_bytes, lease_ms, busy = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[12] == '1'
check_calls(calls)
local now = precise_now_ms()
local time = calls_time(KEYS[2], now, lease_ms)
local reply, ids, bytes = {string.format('%.17g', now), '', '0'}, {}, 0
local deferred, alone, rooms, mine = {}, {}, {}, {}
for i = 6, #KEYS, 3 do
  deferred[#deferred + 1], alone[#alone + 1], rooms[#rooms + 1] = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  mine[KEYS[i + 1]] = true
end
local some_deferred = deferred[1] and redis.call('EXISTS', unpack(deferred)) > 0
local some_alone = alone[1] and redis.call('EXISTS', unpack(alone)) > 0

-- Make a call due again after some time.
local function put_off(id, wait_ms) redis.call('ZADD', calls, 'XX', string.format('%.0f', now + wait_ms), id) end

-- Say whether `Job.abort` was called for this job. arq never deletes an abort, so it may mean an earlier job with the same id.
local function is_aborted(id, payload)
  local named = aborts ~= '' and redis.call('ZSCORE', aborts, id)
  if not named then return false end
  local read, job = pcall(cjson.decode, payload or '')
  local enqueued = read and type(job) == 'table' and tonumber(job.et) or 0
  if tonumber(named) > enqueued - 60000 then return true end -- the clocks of two clients may differ
  redis.call('ZREM', aborts, id)
  return false
end

local function give_out(id, due, tries, deaths, dead)
  write_claim(claim_start .. id, {token = token, deaths = deaths, ends = time + lease_ms, due = due, before = dead or ''}, lease_ms)
  put_off(id, lease_ms)
  local payload = read_typed('GET', payload_start .. id)
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4] = id, due, deaths, tries
  reply[at + 5], reply[at + 6] = is_aborted(id, payload) and '1' or '0', payload
  ids[#ids + 1] = id
  bytes = bytes + (payload and #payload or 0)
end

-- Returns false if no worker has the call's function. The call isn't run then, and the worker that claims it says so.
local function set_aside(id, due)
  local read, job = pcall(cjson.decode, read_typed('GET', payload_start .. id) or '')
  if not read or type(job) ~= 'table' or type(job.f) ~= 'string' then return false end
  local key = alone_start .. job.f
  if not mine[key] and now - tonumber(redis.call('ZSCORE', announced, job.f) or '0') > announced_ms then return false end
  redis.call('ZADD', key, 'NX', due, id)
  redis.call('PEXPIRE', key, 60000)
  some_alone = some_alone or mine[key]
  put_off(id, 15000) -- it is due again then, whatever becomes of the others
  return true
end

local function claim(id, due, its_turn)
  local key, past = claim_start .. id, past_start .. id
  local held, tries, deaths = read_claim(key), read_past(past)
  if held and held.ends > time then -- it is running: `Job.abort` has moved it, or the clock was set
    put_off(id, math.max(held.ends - time, 1))
    return
  end
  local dead = held and held.token:match('^(.*)%.') ~= worker and held.token -- this worker itself was only away
  if held then due, deaths = held.due, held.deaths + (dead and 1 or 0) end
  if deaths == lone_deaths and not its_turn and set_aside(id, due) then
    if held then unclaim(key, past, deaths) end
  else
    give_out(id, due, tries, deaths, dead)
  end
end

local function room() return #ids < most and bytes < most_bytes end

local function waits_alone(id)
  local _, deaths = read_past(past_start .. id)
  return deaths == lone_deaths and redis.call('ZSCORE', calls, id) and redis.call('EXISTS', claim_start .. id) == 0
end

local function claim_alone()
  for _, key in ipairs(alone) do
    local first = redis.call('ZPOPMIN', key)
    while first[1] do
      if waits_alone(first[1]) then
        claim(first[1], first[2], true)
        most = 0
        return
      end
      first = redis.call('ZPOPMIN', key)
    end
  end
end

local function make_room()
  local function free(key) return (redis.call('GET', key) or worker) == worker end
  for i, key in ipairs(alone) do
    if redis.call('EXISTS', key) == 1 and free(rooms[i]) then
      for _, each in ipairs(rooms) do
        if free(each) then redis.call('SET', each, worker, 'PX', 3000) end
      end
      most, reply[3] = 0, '1'
      return
    end
  end
end

local before = redis.call('GET', memory)
if before and before:sub(1, #token + 1) == token .. ' ' then -- this request was answered, and the answer was lost
  for _, id in ipairs(cmsgpack.unpack(before:sub(#token + 2))) do
    local key = claim_start .. id
    local held = read_claim(key)
    if held and held.token == token then
      give_out(id, held.due, read_past(past_start .. id), held.deaths, held.before)
    else
      revive(key, held, token)
    end
  end
  return reply
end

if some_alone then
  if not busy and alone_first then claim_alone() end
  if busy then make_room() end
end
if some_deferred then
  for _, waiting in ipairs(deferred) do
    while room() do
      local first = redis.call('ZPOPMIN', waiting)
      if not first[1] then break end
      local score = redis.call('ZSCORE', calls, first[1]) -- a deferred call is due within 15 s; else this is a later call with its id
      if score and tonumber(score) <= now + 15000 then claim(first[1], first[2]) end
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
if not busy and #ids == 0 and some_alone then claim_alone() end

if #ids > 0 then redis.call('SET', memory, token .. ' ' .. cmsgpack.pack(ids), 'PX', 60000) end
reply[2] = redis.call('ZRANGE', calls, 0, 0, 'WITHSCORES')[2] or ''
if reply[2] ~= '' and tonumber(reply[2]) <= now then ring(bell) end -- there is more than this worker takes
return reply
