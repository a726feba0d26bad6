-- Append events to the log and to their channels' histories. Needs generation.lua.
-- KEYS[1]  the log
-- KEYS[2]  the generations
-- ARGV[1]  start of the shard's keys
-- ARGV[2]  fresh label
-- ARGV[3]  how long a channel's last id says for certain what came before, ms
-- ARGV[4]  how long the keys of events are remembered, ms
-- ARGV[5]  the events' names, with spaces between them
-- ARGV[6]  the events' blocks, one after another
-- ARGV[7]  in MessagePack: what histories keep as "<entries> <seconds>" ('' for none); the channels, each once; of each event, the
--          position of its channel and the bytes of its block; what another history keeps, by the event's number from 1; the keys of
--          events, likewise
-- Returns the outcome: the names, a line feed, and an id for each, followed by "d" if its key was known and nothing was appended.
--
-- Redis reads MessagePack, and a client writes it, several times faster than separate arguments. The cost of an event is its commands and
-- their arguments, so the channels' last ids are read and written together, and histories are trimmed now and then. Growing tables and
-- calls of iterators come next, so there are few of either.
--
-- A TTL is renewed with a channel's first event of each minute, so a history lives up to a minute longer than asked. A short one is renewed
-- with every commit.
--
-- What a script has written stays if it fails half way, and would be written again when it is sent again. So nothing fails once an event
-- is in the log: a last id or key that another program has overwritten counts as missing, and a history that takes no entry begins again.
local LAZY_S = 600
local TRIM_EACH, LAZY_ENTRIES = 8, 64 -- one event in so many trims its history, by chance, where that may have so many entries
local AT_ONCE = 1000 -- values that Lua hands over in one call

-- Return what strings hold: false where one is missing or of another type.
local function get_all(names)
  if #names <= AT_ONCE then return redis.call('MGET', unpack(names)) end
  local values = {}
  for i, name in ipairs(names) do values[i] = read_typed('GET', name) end
  return values
end

-- Set strings (name, value, name, value ...) and their TTL as SET does; with one command where Redis has it (Valkey 9.1, Redis 8.4).
local function set_all(strings, ...)
  local count, ttl = #strings, {...}
  if count == 0 then return end
  local known, allowed = pcall(redis.acl_check_cmd, 'MSETEX', '1', strings[1], strings[2])
  if known and allowed and count <= AT_ONCE then
    for i, word in ipairs(ttl) do strings[count + i] = word end
    if type(redis.pcall('MSETEX', count / 2, unpack(strings))) ~= 'table' then return end
  end
  for i = 1, count, 2 do redis.call('SET', strings[i], strings[i + 1], ...) end
end

local function begin(history, most, ...)
  if redis.pcall('XADD', history, 'MAXLEN', '~', most, ...).err then
    redis.call('DEL', history)
    redis.call('XADD', history, 'MAXLEN', '~', most, ...)
  end
end

local function read_rule(text)
  local entries, seconds = text:match('^(%d+) (%d+)$')
  seconds = tonumber(seconds)
  local short = seconds < LAZY_S
  return {entries = entries, lazy = tonumber(entries) >= LAZY_ENTRIES, short = short, ttl = short and seconds or seconds + 60}
end

local function append(log, gen)
  local call, try, prefix, key_ms = redis.call, redis.pcall, ARGV[1], ARGV[4]
  local label, top = current_generation(gen, log, ARGV[2])
  local now, turn = now_ms()
  local minute = string.format('%.0f', now - now % 60000)
  local horizon = string.format('%.0f-0', now - ARGV[3])
  local history_prefix, link, rules = prefix .. 'history:', ' ' .. label .. ' ', {}
  local common, channels, events, others, keys = unpack(cmsgpack.unpack(ARGV[7]))
  local blocks, at, ids, sub = ARGV[6], 1, {}, string.sub

  local names, lasts, renewed = {}, {}, {}
  for place = 1, #channels do names[place] = prefix .. 'last:' .. channels[place] end
  local befores = get_all(names)

  for number = 1, #events / 2 do
    local place, size, key = events[number * 2 - 1], events[number * 2], keys[number]
    local channel, block = channels[place], sub(blocks, at, at + size - 1)
    at = at + size
    local key_name = key and prefix .. 'key:' .. channel .. ' ' .. key
    local known = key_name and read_typed('GET', key_name)
    if known then
      ids[number] = known .. 'd'
    else
      local before, first, renew = lasts[place], false, false
      if not before then
        before, first = befores[place] or horizon, true
        renew = before < minute -- as text: milliseconds have 13 digits until the year 2286
        if renew then renewed[place] = true end
      end
      local head = channel .. ' ' .. before .. link .. top
      top = call('XADD', log, '*', 'h', head, 'b', block)
      local text = others[number] or common
      if text ~= '' then
        local rule = rules[text]
        if not rule then
          rule = read_rule(text)
          rules[text] = rule
        end
        turn = turn + 1
        local history = history_prefix .. channel
        local added -- a history that is there has a TTL
        if not renew and rule.lazy and turn % TRIM_EACH ~= 0 then
          added = try('XADD', history, 'NOMKSTREAM', top, 'h', head, 'b', block)
        elseif not renew then
          added = try('XADD', history, 'NOMKSTREAM', 'MAXLEN', '~', rule.entries, top, 'h', head, 'b', block)
        end
        if added ~= top then begin(history, rule.entries, top, 'h', head, 'b', block) end
        if added ~= top or (first and rule.short) then call('EXPIRE', history, rule.ttl) end
      end
      if key_name then call('SET', key_name, top, 'PX', key_ms) end
      lasts[place] = top
      ids[number] = top
    end
  end

  local kept, anew = {}, {}
  for place = 1, #names do
    if lasts[place] then
      local list = renewed[place] and anew or kept
      local count = #list
      list[count + 1], list[count + 2] = names[place], lasts[place]
    end
  end
  set_all(kept, 'KEEPTTL')
  set_all(anew, 'PX', string.format('%.0f', ARGV[3] + 3600000))
  call('HSET', gen, 'top', top)
  return ARGV[5] .. '\n' .. table.concat(ids, ' ')
end
