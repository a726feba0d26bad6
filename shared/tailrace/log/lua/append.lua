-- Append events to the log and to their channels' histories. Needs generation.lua.

-- An event is seven arguments: name, channel, block, entries and seconds that the history keeps (0: none), key ('' for none), ms that the
-- key is remembered. Returns lines of "<name> <id>" or, where the key was known, "<name> <id> d".
-- TTLs are renewed with a channel's first event of each minute, so a history lives up to a minute longer than asked; a short one is
-- renewed with every event.
local LAZY_S = 600
local function append(log, gen, prefix, fresh, state_ms, first)
  local label, top = current_generation(gen, log, fresh)
  local now = now_ms()
  local minute = string.format('%.0f', now - now % 60000)
  local horizon = string.format('%.0f-0', now - state_ms)
  local state_px = string.format('%.0f', state_ms + 3600000)
  local last_prefix, history_prefix, link = prefix .. 'last:', prefix .. 'history:', ' ' .. label .. ' '
  local outcome = {}
  for i = first, #ARGV, 7 do
    local name, channel, block, kept, kept_s, key = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
    local key_name = key ~= '' and prefix .. 'key:' .. channel .. ' ' .. key
    local known = key_name and redis.call('GET', key_name)
    if known then
      outcome[#outcome + 1] = name .. ' ' .. known .. ' d'
    else
      local last = last_prefix .. channel
      local before = redis.call('GET', last) or horizon
      local renew = before < minute -- as text: milliseconds have 13 digits until the year 2286
      local head = channel .. ' ' .. before .. link .. top
      local id = redis.call('XADD', log, '*', 'h', head, 'b', block)
      if renew then redis.call('SET', last, id, 'PX', state_px) else redis.call('SET', last, id, 'KEEPTTL') end
      if kept ~= '0' then
        local history = history_prefix .. channel
        redis.call('XADD', history, 'MAXLEN', '~', kept, id, 'h', head, 'b', block)
        if kept_s + 0 < LAZY_S then
          redis.call('EXPIRE', history, kept_s)
        elseif renew then
          redis.call('EXPIRE', history, kept_s + 60)
        else
          redis.call('EXPIRE', history, kept_s + 60, 'NX') -- where there is a TTL, which is nearly always, the append-only file hears nothing of it
        end
      end
      if key ~= '' then redis.call('SET', key_name, id, 'PX', ARGV[i + 6]) end
      outcome[#outcome + 1] = name .. ' ' .. id
      top = id
    end
  end
  redis.call('HSET', gen, 'top', top)
  return table.concat(outcome, '\n')
end
