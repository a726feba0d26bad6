-- The calls' own time, in ms. It advances with Redis's clock while workers ask, but counts little of what passed between two of their
-- requests. So no claim expires because Redis stood still, or because its clock was set, before workers that live could renew theirs.
local function calls_time(key, now, lease_ms)
  local most = lease_ms / 3
  local asked, passed = (read_typed('GET', key) or ''):match('^(%S+) (%S+)')
  asked, passed = tonumber(asked), tonumber(passed)
  local since = asked and now - asked or 0
  passed = (passed or now) + math.max(0, math.min(since, most))
  if not asked or since < 0 or since > most / 8 then
    redis.call('SET', key, string.format('%.3f %.3f', now, passed), 'PX', 172800000)
  end
  return passed
end
