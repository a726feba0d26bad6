-- A claim: who runs a call, how many workers have died running it, when the claim runs out, and when the call was due. It stands under
-- arq's own mark that a job runs, and outlives its end, so that a death is counted whenever somebody looks. Needs payload.lua.
local NOBODY = '-' -- has the claim of a call that was given back and has seen deaths

local function read_claim(key)
  local token, deaths, ends, due = (read_payload(key) or ''):match('^(%S+) (%d+) (%S+) (%S+)$')
  return token and {token = token, deaths = tonumber(deaths), ends = tonumber(ends), due = due}
end

-- Refuse a queue of calls that another program has overwritten, before anything is done.
local function check_calls(key)
  if type(redis.pcall('ZCARD', key)) == 'table' then
    error(redis.error_reply('WRONGTYPE ' .. key .. ' is no sorted set: rename or delete it'))
  end
end

local function write_claim(key, token, deaths, ends, due, lease_ms)
  local value = token .. ' ' .. string.format('%.0f', deaths) .. ' ' .. ends .. ' ' .. due
  redis.call('SET', key, value, 'PX', string.format('%.0f', lease_ms + 86400000))
end

-- Give a claim back. How many workers have died running the call stays known.
local function unclaim(key, held, due)
  if held.deaths == 0 then
    redis.call('DEL', key)
  else
    write_claim(key, NOBODY, held.deaths, '0', due, 0)
  end
end
