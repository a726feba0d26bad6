#!lua flags=allow-oom
-- Claim calls that are due. KEYS: calls, their time, what this worker claimed last, bell, functions that workers announced, then for each
-- function that this worker has its shelf, its calls that have to run alone, and who makes room for them. ARGV: token, calls at most, bytes
-- of payload at most, lease_ms, start of a payload's key, of a claim's, of what is known of earlier runs, of the calls that have to run
-- alone, arq's aborts ('' for none), deaths after which a call runs alone, ms that an announcement holds, "1" if calls run here, "1" if one
-- that runs alone is to come first.
-- A call stays in the queue until it ends; while it is claimed its score is when the claim runs out, so it comes up by itself if its worker
-- dies.
-- One that has to run alone is set aside for a worker that has its function and runs nothing. A worker that is busy makes room: it takes
-- nothing more. Of those with a function one does so at a time, so that calls go on elsewhere.
-- Returns {Redis' time in ms, when the next call is due ('' if there is none), "1" if room is to be made, then id, due, deaths, tries, "1"
-- if it is to be aborted, payload of each}.
local calls, memory, bell, token = KEYS[1], KEYS[3], KEYS[4], ARGV[1]
local worker = token:match('^(.*)%.')
local most, most_bytes, lease_ms, busy = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[12] == '1'
check_calls(calls)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local time = calls_time(KEYS[2], now, lease_ms)
local reply, ids, bytes = {string.format('%.17g', now), '', '0'}, {}, 0
local shelves, alone, rooms, mine = {}, {}, {}, {}
for i = 6, #KEYS, 3 do
  shelves[#shelves + 1], alone[#alone + 1], rooms[#rooms + 1] = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  mine[KEYS[i + 1]] = true
end
local shelved, some_alone = shelves[1] and redis.call('EXISTS', unpack(shelves)) > 0, alone[1] and redis.call('EXISTS', unpack(alone)) > 0

-- Let a call come up again when the claim on it has run out.
local function put_off(id, wait_ms) redis.call('ZADD', calls, 'XX', string.format('%.0f', now + wait_ms), id) end

-- Say whether `Job.abort` has named a job, and not an earlier one of this id, which had ended by then: arq keeps its word for ever.
local function is_aborted(id, payload)
  local named = ARGV[9] ~= '' and redis.call('ZSCORE', ARGV[9], id)
  if not named then return false end
  local read, job = pcall(cjson.decode, payload or '')
  local enqueued = read and type(job) == 'table' and tonumber(job.et) or 0
  if tonumber(named) > enqueued - 60000 then return true end -- the clocks of two clients may differ
  redis.call('ZREM', ARGV[9], id)
  return false
end

local function give_out(id, due, tries, deaths, dead)
  write_claim(ARGV[6] .. id, {token = token, deaths = deaths, ends = time + lease_ms, due = due, before = dead or ''}, lease_ms)
  put_off(id, lease_ms)
  local payload = read_payload(ARGV[5] .. id)
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4] = id, due, deaths, tries
  reply[at + 5], reply[at + 6] = is_aborted(id, payload) and '1' or '0', payload
  ids[#ids + 1] = id
  bytes = bytes + (payload and #payload or 0)
end

-- Returns false if nobody has the call's function: then it isn't run, and whoever claims it says so.
local function set_aside(id, due)
  local read, job = pcall(cjson.decode, read_payload(ARGV[5] .. id) or '')
  if not read or type(job) ~= 'table' or type(job.f) ~= 'string' then return false end
  local key = ARGV[8] .. job.f
  if not mine[key] and now - tonumber(redis.call('ZSCORE', KEYS[5], job.f) or '0') > tonumber(ARGV[11]) then return false end
  redis.call('ZADD', key, 'NX', due, id)
  redis.call('PEXPIRE', key, 60000)
  some_alone = some_alone or mine[key]
  put_off(id, 15000) -- it comes up again, whatever becomes of the others
  return true
end

local function claim(id, due, its_turn)
  local key, past = ARGV[6] .. id, ARGV[7] .. id
  local held, tries, deaths = read_claim(key), read_past(past)
  if held and held.ends > time then -- it runs: `Job.abort` has moved it, or the clock was set
    put_off(id, math.max(held.ends - time, 1))
    return
  end
  local dead = held and held.token:match('^(.*)%.') ~= worker and held.token -- this one was only away
  if held then due, deaths = held.due, held.deaths + (dead and 1 or 0) end
  if deaths == tonumber(ARGV[10]) and not its_turn and set_aside(id, due) then
    if held then unclaim(key, past, deaths) end
  else
    give_out(id, due, tries, deaths, dead)
  end
end

local function room() return #ids < most and bytes < most_bytes end

local function waits_alone(id)
  local _, deaths = read_past(ARGV[7] .. id)
  return deaths == tonumber(ARGV[10]) and redis.call('ZSCORE', calls, id) and redis.call('EXISTS', ARGV[6] .. id) == 0
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
if before and before:sub(1, #token + 1) == token .. ' ' then -- the answer was lost
  for _, id in ipairs(cmsgpack.unpack(before:sub(#token + 2))) do
    local key = ARGV[6] .. id
    local held = read_claim(key)
    if held and held.token == token then
      give_out(id, held.due, read_past(ARGV[7] .. id), held.deaths, held.before)
    else
      revive(key, held, token)
    end
  end
  return reply
end

if some_alone then
  if not busy and ARGV[13] == '1' then claim_alone() end
  if busy then make_room() end
end
if shelved then
  for _, shelf in ipairs(shelves) do
    while room() do
      local first = redis.call('ZPOPMIN', shelf)
      if not first[1] then break end
      local score = redis.call('ZSCORE', calls, first[1]) -- what was shelved comes up within 15 s; else it is a later call of its id
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
if reply[2] ~= '' and tonumber(reply[2]) <= now then ring(bell) end -- more than this worker takes
return reply
