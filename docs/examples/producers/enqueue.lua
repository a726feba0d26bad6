#!lua
-- Redis's time: whole milliseconds since 1970, and the microseconds of the current second.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000), tonumber(time[2])
end

-- Ring a bell, which wakes one worker. A bell that is ringing already isn't rung twice.
local function ring(bell)
  if redis.call('EXISTS', bell) == 0 then redis.call('RPUSH', bell, '1') end
  redis.call('PEXPIRE', bell, 60000)
end

-- Enqueue jobs, all or none of them. Each number of a producer runs once, so a call may be repeated until it is answered.
-- KEYS[1]  the producer's last number
-- KEYS[2]  ... for each queue: the queue, its state ('' where order doesn't matter), its bell ('' for none)
-- KEYS[n]  last, if ids may have been used before: start of a receipt's key. What an earlier job with an id left is deleted
-- ARGV[1]  number
-- ARGV[2]  how long the number is remembered, ms
-- ARGV[3]  how long a payload is kept after its job is due, ms
-- ARGV[4]  the most jobs in one queue; 0 for any number
-- ARGV[5]  ... for each job: which queue (1 is the first), id, payload, due time ('' for now, '+<ms>' from now, or Unix ms)
-- Returns {"done", positions of jobs whose id was taken}, {"full", queue}, or {"broken", queue} if that key is no sorted set.
-- Positions count from 0, with spaces between them. A job whose id was taken isn't enqueued.
local producer, remember_ms, keep_ms, most = KEYS[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local number = tonumber(ARGV[1])
local before, answer = (redis.call('GET', producer) or '0 '):match('^(%d+) (.*)$')
if number <= tonumber(before) then return {'done', answer} end

local spare = (#KEYS - 1) % 3
local receipts = spare == 1 and KEYS[#KEYS]
for at = 2, #KEYS - spare, 3 do
  if type(redis.pcall('ZCARD', KEYS[at])) == 'table' then return {'broken', KEYS[at]} end
end
local taken, rung = {}, {}
if most > 0 then
  local more = {}
  for i = 5, #ARGV, 4 do more[ARGV[i]] = (more[ARGV[i]] or 0) + 1 end
  for which, jobs in pairs(more) do
    local queue = KEYS[tonumber(which) * 3 - 1]
    if redis.call('ZCARD', queue) + jobs > most then return {'full', queue} end
  end
end

local now, lasts = now_ms(), {}
for i = 5, #ARGV, 4 do
  local at, id, due = tonumber(ARGV[i]) * 3 - 1, ARGV[i + 1], ARGV[i + 3]
  local queue, line = KEYS[at], KEYS[at + 1]
  if redis.call('EXISTS', 'arq:job:' .. id) == 1 then
    taken[#taken + 1] = (i - 5) / 4
  else
    local score = now
    if due:sub(1, 1) == '+' then
      score = now + tonumber(due:sub(2))
    elseif due ~= '' then
      score = tonumber(due)
    elseif line ~= '' then -- scores of jobs that are due now rise strictly: 1/1024 ms is exact in a double until the year 2248
      lasts[line] = lasts[line] or tonumber(redis.call('HGET', line, 'last') or '0')
      score = math.max(now, lasts[line] + 1 / 1024)
      lasts[line] = score
    end
    if receipts then redis.call('DEL', receipts .. id, 'arq:result:' .. id) end
    redis.call('SET', 'arq:job:' .. id, ARGV[i + 2], 'PX', string.format('%.0f', math.max(score - now, 0) + keep_ms))
    redis.call('ZADD', queue, string.format('%.17g', score), id)
    rung[KEYS[at + 2]] = true
  end
end
for line, last in pairs(lasts) do redis.call('HSET', line, 'last', string.format('%.17g', last)) end
rung[''] = nil
for bell in pairs(rung) do ring(bell) end
answer = table.concat(taken, ' ')
redis.call('SET', producer, ARGV[1] .. ' ' .. answer, 'PX', remember_ms)
return {'done', answer}
