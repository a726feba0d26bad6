#!lua flags=allow-oom
-- Read what channels' histories hold after a position of each.
-- KEYS[1]  the log
-- KEYS[2]  the generations
-- ARGV[1]  start of the shard's keys
-- ARGV[2]  fresh label
-- ARGV[3]  how long a channel's last id is kept, ms
-- ARGV[4]  how many questions must be answered
-- ARGV[5]  bytes of the answer after which other questions aren't
-- ARGV[6]  ... for each question: channel, after (an id), the most entries
-- Returns {label, last id of the log, then for each question: {entries, "1" if there may be more, the channel's last id, or the latest
-- that it can be}, or false where it must be asked again because the answer is large enough}.
local ENTRY_BYTES, AT_ONCE = 640, 1000
local label, top = current_generation(KEYS[2], KEYS[1], ARGV[2])
local horizon = string.format('%.0f-0', now_ms() - tonumber(ARGV[3]))
local must, room = tonumber(ARGV[4]), tonumber(ARGV[5])
local FIRST, EACH = 6, 3

local lasts, names = {}, {}
for i = FIRST, #ARGV, EACH do
  names[#names + 1] = ARGV[1] .. 'last:' .. ARGV[i]
  if #names == AT_ONCE or i + EACH > #ARGV then
    for _, last in ipairs(redis.call('MGET', unpack(names))) do lasts[#lasts + 1] = last end
    names = {}
  end
end

-- As text, for a double doesn't tell all ids apart.
local function is_later(id, other)
  local ms, seq = id:match('^(%d+)-(%d+)$')
  local other_ms, other_seq = other:match('^(%d+)-(%d+)$')
  if ms == other_ms then ms, other_ms = seq, other_seq end
  return #ms > #other_ms or (#ms == #other_ms and ms > other_ms)
end

local reply = {label, top}
for number, last in ipairs(lasts) do
  local at = FIRST + (number - 1) * EACH
  local channel, after, most = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  last = last and last:match('^%d+%-%d+$') -- another program may have written there
  if last and not is_later(last, after) then
    reply[#reply + 1] = {{}, '0', last}
  elseif number <= must or room > 0 then
    local entries = read_typed('XRANGE', ARGV[1] .. 'history:' .. channel, '(' .. after, '+', 'COUNT', most) or {}
    for _, entry in ipairs(entries) do room = room - ENTRY_BYTES - #(entry[2][4] or '') end
    reply[#reply + 1] = {entries, #entries == most and '1' or '0', last or horizon}
  else
    reply[#reply + 1] = false
  end
end
return reply
