-- Helpers for all scripts. A script gets those that it calls: see tailrace/redis/_scripts.py. One blank line between two of them, none
-- inside.

-- Redis's time: whole milliseconds since 1970, and the microseconds of the current second.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000), tonumber(time[2])
end

-- Redis's time in milliseconds since 1970, with their fraction.
local function precise_now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + time[2] / 1000
end

-- What a command returns, or false where its key is missing or another program has overwritten it with a value of another type. Other
-- errors are raised. A script that stops half way leaves what it has written, and would write it again when it is sent again.
local function read_typed(...)
  local answer = redis.pcall(...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  if not answer.err:find('WRONGTYPE', 1, true) then error(answer) end
  return false
end

-- Redis's replication id. It changes when Redis restarts or a replica is promoted. '' where the server doesn't tell it.
local function replication_id()
  return redis.call('INFO', 'replication'):match('master_replid:(%w+)') or ''
end

-- Ring a bell, which wakes one worker. A bell that is ringing already isn't rung twice.
local function ring(bell)
  if redis.call('EXISTS', bell) == 0 then redis.call('RPUSH', bell, '1') end
  redis.call('PEXPIRE', bell, 60000)
end
