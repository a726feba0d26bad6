-- What remains of a job that ends: its receipt, and its dead letter.
local function tell(receipts, listeners, kept_ms, id, receipt, listener)
  if receipt == '' then return end
  redis.call('SET', receipts .. id, receipt, 'PX', kept_ms)
  if listener ~= '' then redis.call('PUBLISH', listeners .. listener, receipt) end
end

local function dead_letter(dead, most, most_bytes, queue, id, payload, reason, path, traceback)
  local letter = {'job', id, 'reason', reason, 'path', path, 'queue', queue, 'payload', payload or ''}
  if traceback ~= '' then
    letter[11], letter[12] = 'traceback', traceback
  end
  if type(redis.pcall('XLEN', dead)) == 'table' then
    error(redis.error_reply('WRONGTYPE ' .. dead .. ' is no stream: rename or delete it'))
  end
  redis.call('XADD', dead, 'MAXLEN', '~', most, '*', unpack(letter))
  local used = redis.call('MEMORY', 'USAGE', dead, 'SAMPLES', '5')
  if used and used > most_bytes then
    redis.call('XTRIM', dead, 'MAXLEN', math.max(1, math.floor(redis.call('XLEN', dead) * most_bytes / used * 0.9)))
  end
end
