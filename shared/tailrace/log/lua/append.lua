-- Append events to the log and to their channels' histories. Needs generation.lua.

-- KEYS: log, generations. ARGV: prefix, fresh label, state_ms, ms that keys are remembered, the events' names with spaces between, their blocks
-- one after another, and in MessagePack of each: channel, bytes of its block, what the history keeps as "<entries> <seconds>" ('' for none), and
-- key ('' for none). Packed like this, Redis reads them and a client writes them several times faster than as arguments of their own.
-- Returns the names, a line feed, and an id for each, with "d" behind it where the key was known and nothing was appended.
-- TTLs are renewed with a channel's first event of each minute, so a history lives up to a minute longer than asked; a short one is
-- renewed with every commit.
-- What a script has written stays when it fails half way, and would be written again when it is sent again. So once an event is in the log nothing
-- fails any more: a last id or key that another program has overwritten counts as missing, and a history that takes no entry is begun anew.
local LAZY_S = 600

local function keep(history, ...)
  if redis.pcall('XADD', history, ...).err then
    redis.call('DEL', history)
    redis.call('XADD', history, ...)
  end
end

local function append(log, gen)
  local call, pcall, prefix, state_ms, key_ms = redis.call, redis.pcall, ARGV[1], tonumber(ARGV[3]), ARGV[4]
  local label, top = current_generation(gen, log, ARGV[2])
  local now = now_ms()
  local minute = string.format('%.0f', now - now % 60000)
  local horizon = string.format('%.0f-0', now - state_ms)
  local state_px = string.format('%.0f', state_ms + 3600000)
  local last_prefix, history_prefix, link = prefix .. 'last:', prefix .. 'history:', ' ' .. label .. ' '
  local ids, lasts, entries, seconds = {}, {}, {}, {}

  local blocks, events, at = ARGV[6], cmsgpack.unpack(ARGV[7]), 1
  for i = 1, #events, 4 do
    local channel, size, rule, key = events[i], events[i + 1], events[i + 2], events[i + 3]
    local block = blocks:sub(at, at + size - 1)
    at = at + size
    local key_name = key ~= '' and prefix .. 'key:' .. channel .. ' ' .. key
    local known = key_name and ask('GET', key_name)
    if known then
      ids[#ids + 1] = known .. 'd'
    else
      local last, before = last_prefix .. channel, lasts[channel]
      local first = not before
      if first then before = ask('GET', last) or horizon end
      local renew = first and before < minute -- as text: milliseconds have 13 digits until the year 2286
      local head = channel .. ' ' .. before .. link .. top
      top = call('XADD', log, '*', 'h', head, 'b', block)
      if renew then call('SET', last, top, 'PX', state_px) else call('SET', last, top, 'KEEPTTL') end
      if rule ~= '' then
        if not entries[rule] then entries[rule], seconds[rule] = rule:match('^(%d+) (%d+)$') end
        local history, most, kept_s = history_prefix .. channel, entries[rule], seconds[rule] + 0
        -- A history that is there has a TTL.
        local added = not renew and pcall('XADD', history, 'NOMKSTREAM', 'MAXLEN', '~', most, top, 'h', head, 'b', block)
        added = added and not added.err
        if not added then keep(history, 'MAXLEN', '~', most, top, 'h', head, 'b', block) end
        if not added or (first and kept_s < LAZY_S) then call('EXPIRE', history, kept_s < LAZY_S and kept_s or kept_s + 60) end
      end
      if key_name then call('SET', key_name, top, 'PX', key_ms) end
      lasts[channel] = top
      ids[#ids + 1] = top
    end
  end
  call('HSET', gen, 'top', top)
  return ARGV[5] .. '\n' .. table.concat(ids, ' ')
end
