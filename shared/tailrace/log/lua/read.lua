#!lua flags=allow-oom
-- Answer what channels' histories hold after a position. KEYS: log, generations.
-- ARGV: prefix, fresh label, state_ms, entries at most per channel, after (an id), then channels.
-- Returns label, last id of the log, then for each channel: its entries, "1" if there may be more, its last id (or what its absence
-- proves).
local label, top = current_generation(KEYS[2], KEYS[1], ARGV[2])
local horizon = string.format('%.0f-0', now_ms() - tonumber(ARGV[3]))
local most = tonumber(ARGV[4])
local reply = {label, top}
for i = 6, #ARGV do
  local entries = ask('XRANGE', ARGV[1] .. 'history:' .. ARGV[i], '(' .. ARGV[5], '+', 'COUNT', most) or {}
  reply[#reply + 1] = {entries, #entries == most and '1' or '0', ask('GET', ARGV[1] .. 'last:' .. ARGV[i]) or horizon}
end
return reply
