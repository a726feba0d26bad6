-- Wake one worker, if none is being woken.
local function ring(bell)
  if redis.call('EXISTS', bell) == 0 then redis.call('RPUSH', bell, '1') end
  redis.call('PEXPIRE', bell, 60000)
end
