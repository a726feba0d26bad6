-- A claim: who runs a call, how many workers died running it before, when the claim runs out by the calls' own time, when the call was
-- due, and whose claim ran out before, which counts as a death until that worker says that it lives. It stands under arq's own mark that a
-- job runs, and outlives its end, so that a death is counted whenever somebody looks. What has become of earlier runs stands under arq's
-- count of tries: "<failures>", and where workers died, "<failures> <deaths>". What a later version writes after these is ignored. Needs
-- payload.lua.
local function read_claim(key)
  local token, deaths, ends, due, before = (read_payload(key) or ''):match('^(%S+) (%d+) (%S+) (%S+) ?(%S*)')
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
  local tries, deaths = ((read_payload(key) or '') .. ' '):match('^(%d+) (%d*)')
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
