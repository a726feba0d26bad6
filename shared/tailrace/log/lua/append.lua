-- Append events to the log and to their channels' histories. Needs generation.lua.

-- An event is seven arguments: name, channel, block, entries and seconds that the history keeps (0: none), key ('' for none), ms that the
-- key is remembered. Returns lines of "<name> <id>" or, where the key was known, "<name> <id> d".
local function append(log, gen, prefix, fresh, state_ms, first)
  local label, top = current_generation(gen, log, fresh)
  local horizon = string.format('%.0f-0', now_ms() - state_ms)
  local state_px = string.format('%.0f', state_ms + 3600000)
  local outcome = {}
  for i = first, #ARGV, 7 do
    local name, channel, block, kept, kept_s, key = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
    local key_name = prefix .. 'key:' .. channel .. ' ' .. key
    local known = key ~= '' and redis.call('GET', key_name)
    if known then
      outcome[#outcome + 1] = name .. ' ' .. known .. ' d'
    else
      local last = prefix .. 'last:' .. channel
      local before = redis.call('GET', last) or horizon
      local id = redis.call('XADD', log, '*', 'h', channel .. ' ' .. before .. ' ' .. label .. ' ' .. top, 'b', block)
      redis.call('SET', last, id, 'PX', state_px)
      if kept ~= '0' then
        local history = prefix .. 'history:' .. channel
        redis.call('XADD', history, 'MAXLEN', '~', kept, id, 'h', channel .. ' ' .. before .. ' ' .. label .. ' ' .. top, 'b', block)
        redis.call('EXPIRE', history, kept_s)
      end
      if key ~= '' then redis.call('SET', key_name, id, 'PX', ARGV[i + 6]) end
      outcome[#outcome + 1] = name .. ' ' .. id
      top = id
    end
  end
  redis.call('HSET', gen, 'top', top)
  return table.concat(outcome, '\n')
end
