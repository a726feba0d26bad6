-- A claim says who runs a call, how many workers died running it before, when the claim expires by the calls' own time, when the call was
-- due, and whose claim expired before. The last counts as a death until that worker says that it lives. A claim is stored under arq's own
-- mark that a job runs, and outlives its end, so that a death is counted whenever somebody looks. What became of earlier runs is stored
-- under arq's count of tries: "<failures>", and where workers died, "<failures> <deaths>". What a later version writes after these is
-- ignored.
--
-- History that would break without `before`: worker A claims a call and is suspended past its lease; worker B claims it and counts a death;
-- A resumes, and keeps or ends its claim. `revive` takes the death back. Else three pauses would dead-letter a call that never killed
-- anybody.
local function read_claim(key)
  local token, deaths, ends, due, before = (read_typed('GET', key) or ''):match('^(%S+) (%d+) (%S+) (%S+) ?(%S*)')
  return token and {token = token, deaths = tonumber(deaths), ends = tonumber(ends), due = due, before = before}
end

-- Refuse a queue of calls that another program has overwritten, before anything is done.
local function check_calls(key)
  if type(redis.pcall('ZCARD', key)) == 'table' then
    error(redis.error_reply('WRONGTYPE ' .. key .. ' is no sorted set: rename or delete it'))
  end
end

local function write_claim(key, claim, lease_ms)
  local value = claim.token .. string.format(' %.0f %.0f ', claim.deaths, claim.ends) .. claim.due .. ' ' .. claim.before
  redis.call('SET', key, value, 'PX', string.format('%.0f', lease_ms + 86400000))
end

-- Take back the death that a claim has counted, if it was of a worker that was only away and says so.
local function revive(key, held, token)
  if not held or held.before ~= token then return end
  held.deaths, held.before = held.deaths - 1, ''
  write_claim(key, held, 0)
end

local function read_past(key)
  local tries, deaths = ((read_typed('GET', key) or '') .. ' '):match('^(%d+) (%d*)')
  return tries or '0', tonumber(deaths or '') or 0
end

local function write_past(key, tries, deaths)
  redis.call('SET', key, tries .. (deaths > 0 and string.format(' %.0f', deaths) or ''), 'PX', 88400000)
end

-- Give a claim back. How many workers have died running the call stays known.
local function unclaim(key, past, deaths)
  if deaths > 0 then write_past(past, read_past(past), deaths) end
  redis.call('DEL', key)
end
