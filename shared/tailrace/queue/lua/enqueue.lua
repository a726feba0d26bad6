#!lua
-- Enqueue jobs, all or none of them; each number of a producer runs once, so a call may be repeated until it is answered.
-- KEYS: the producer's number, then for each queue: the queue, its line ('' where order doesn't matter), its bell ('' for none); last, if
-- ids may have been used before, the start of a receipt's key: what an earlier job of an id left is deleted.
-- ARGV: number, ms to remember it, ms to keep a payload after its job is due, the most jobs in one queue (0: any number), then for each
-- job: which queue (1 is the first), id, payload, due ('' for at once, '+<ms>' from now, or Unix ms).
-- Returns {"done", positions, from 0 and with spaces between, of jobs that were left alone because their id was taken}, or {"full", queue},
-- or {"broken", queue} where that key is of another type.
local number = tonumber(ARGV[1])
local before, answer = (redis.call('GET', KEYS[1]) or '0 '):match('^(%d+) (.*)$')
if number <= tonumber(before) then return {'done', answer} end

local spare = (#KEYS - 1) % 3
local receipts = spare == 1 and KEYS[#KEYS]
for at = 2, #KEYS - spare, 3 do
  if type(redis.pcall('ZCARD', KEYS[at])) == 'table' then return {'broken', KEYS[at]} end
end
local room, taken, rung = tonumber(ARGV[4]), {}, {}
if room > 0 then
  local more = {}
  for i = 5, #ARGV, 4 do more[ARGV[i]] = (more[ARGV[i]] or 0) + 1 end
  for which, jobs in pairs(more) do
    local queue = KEYS[tonumber(which) * 3 - 1]
    if redis.call('ZCARD', queue) + jobs > room then return {'full', queue} end
  end
end

local time = redis.call('TIME')
local now, lasts = time[1] * 1000 + math.floor(time[2] / 1000), {}
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
    elseif line ~= '' then -- the scores of what is due at once rise strictly: 1/1024 ms is exact in a double until the year 2248
      lasts[line] = lasts[line] or tonumber(redis.call('HGET', line, 'last') or '0')
      score = math.max(now, lasts[line] + 1 / 1024)
      lasts[line] = score
    end
    if receipts then redis.call('DEL', receipts .. id, 'arq:result:' .. id) end
    redis.call('SET', 'arq:job:' .. id, ARGV[i + 2], 'PX', string.format('%.0f', math.max(score - now, 0) + ARGV[3]))
    redis.call('ZADD', queue, string.format('%.17g', score), id)
    rung[KEYS[at + 2]] = true
  end
end
for line, last in pairs(lasts) do redis.call('HSET', line, 'last', string.format('%.17g', last)) end
rung[''] = nil
for bell in pairs(rung) do
  if redis.call('EXISTS', bell) == 0 then redis.call('RPUSH', bell, '1') end
  redis.call('PEXPIRE', bell, 60000)
end
answer = table.concat(taken, ' ')
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. answer, 'PX', ARGV[2])
return {'done', answer}
