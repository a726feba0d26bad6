#!lua flags=allow-oom
-- End jobs. KEYS: line, queue, hand, dead letters, calls, their bell. ARGV: epoch, start of a payload's key, of a receipt's, of a
-- listener's, ms that receipts are kept, dead letters at most, their bytes at most; then for each batch: field, "1" if all of it ends, how
-- many notes, and for each note: position, receipt ('' for none), listener (''), reason of a dead letter (''), path, "1" if the job goes to
-- the calls.
-- Where not all of a batch ends, what ends has a note each. What isn't in hand under its ticket any more has ended before, and is passed
-- over.
-- Returns how many calls couldn't go to the calls, because another program has overwritten that key; they are put off. -1 if the epoch is
-- another.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return -1 end
local payload_prefix, put_off = ARGV[2], 0

local function move(id, score)
  if type(redis.pcall('ZCARD', KEYS[5])) == 'table' then
    redis.call('ZADD', KEYS[2], 'NX', string.format('%.0f', redis.call('TIME')[1] * 1000 + 2000), id)
    put_off = put_off + 1
  else
    redis.call('ZADD', KEYS[5], 'NX', score, id)
    ring(KEYS[6])
  end
end

local function end_noted(batch, at)
  local position = tonumber(ARGV[at])
  local id = batch.ids[position]
  if not id then return end
  tell(ARGV[3], ARGV[4], ARGV[5], id, ARGV[at + 1], ARGV[at + 2])
  if ARGV[at + 3] ~= '' then
    local payload = read_payload(payload_prefix .. id)
    bury(KEYS[4], ARGV[6], tonumber(ARGV[7]), KEYS[2], id, payload, ARGV[at + 3], ARGV[at + 4], '')
  end
  if ARGV[at + 5] == '1' then
    move(id, batch.scores[position])
    batch.ids[position] = false -- its payload stays
    return
  end
  return id
end

-- An id may have come again meanwhile; then the payload is the new job's.
local function drop_payloads(ids)
  if #ids == 0 then return end
  local gone = {}
  for i, score in ipairs(redis.call('ZMSCORE', KEYS[2], unpack(ids))) do
    if not score then gone[#gone + 1] = payload_prefix .. ids[i] end
  end
  if #gone > 0 then redis.call('DEL', unpack(gone)) end
end

local at = 8
while at <= #ARGV do
  local field, whole, notes = ARGV[at], ARGV[at + 1] == '1', tonumber(ARGV[at + 2])
  local value = redis.call('HGET', KEYS[3], field)
  if value then
    local batch, ended = read_batch(field, value), {}
    for i = 0, notes - 1 do
      local id = end_noted(batch, at + 3 + i * 6)
      if id and not whole then ended[#ended + 1] = id end
      if not whole then batch.ids[tonumber(ARGV[at + 3 + i * 6])] = false end
    end
    local open = false
    for _, id in ipairs(batch.ids) do
      if id and whole then ended[#ended + 1] = id end
      open = open or id
    end
    if whole or not open then
      redis.call('HDEL', KEYS[3], field)
    else
      redis.call('HSET', KEYS[3], field, write_batch(batch.epoch, batch.deaths, batch.ids, batch.scores))
    end
    drop_payloads(ended)
  end
  at = at + 3 + notes * 6
end
return put_off
