#!lua flags=allow-oom
-- End jobs.
-- KEYS[1]  the queue's state
-- KEYS[2]  the queue
-- KEYS[3]  batches in flight, by field
-- KEYS[4]  dead letters
-- KEYS[5]  the queue of calls
-- KEYS[6]  its bell
-- ARGV[1]  epoch
-- ARGV[2]  start of a payload's key
-- ARGV[3]  start of a receipt's key
-- ARGV[4]  start of a listener's channel
-- ARGV[5]  how long receipts are kept, ms
-- ARGV[6]  the most dead letters
-- ARGV[7]  their most bytes
-- ARGV[8]  ... for each batch: field, "1" if all of it ends, how many notes, and for each note: position, receipt ('' for none), listener
--          (''), reason of a dead letter (''), path, "1" if the job goes to the calls
-- Returns how many calls stay in the queue because another program has overwritten the key of the calls; they are put off. -1 if the queue
-- has
-- another epoch.
-- If not all of a batch ends, each job that ends has a note. A job that isn't in flight under its ticket any more has ended before, and is
-- skipped.
local state, queue, in_flight, dead, calls, calls_bell = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local receipt_start, listener_start, receipt_ms, dead_most, dead_bytes = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
if redis.call('HGET', state, 'epoch') ~= ARGV[1] then return -1 end
local payload_prefix, put_off = ARGV[2], 0

local function move(id, score)
  if type(redis.pcall('ZCARD', calls)) == 'table' then
    redis.call('ZADD', queue, 'NX', string.format('%.0f', now_ms() + 2000), id)
    put_off = put_off + 1
  else
    redis.call('ZADD', calls, 'NX', score, id)
    ring(calls_bell)
  end
end

local function end_noted(batch, at)
  local position = tonumber(ARGV[at])
  local id = batch.ids[position]
  if not id then return end
  tell(receipt_start, listener_start, receipt_ms, id, ARGV[at + 1], ARGV[at + 2])
  if ARGV[at + 3] ~= '' then
    local payload = read_typed('GET', payload_prefix .. id)
    dead_letter(dead, dead_most, dead_bytes, queue, id, payload, ARGV[at + 3], ARGV[at + 4], '')
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
  for i, score in ipairs(redis.call('ZMSCORE', queue, unpack(ids))) do
    if not score then gone[#gone + 1] = payload_prefix .. ids[i] end
  end
  if #gone > 0 then redis.call('DEL', unpack(gone)) end
end

local at = 8
while at <= #ARGV do
  local field, whole, notes = ARGV[at], ARGV[at + 1] == '1', tonumber(ARGV[at + 2])
  local value = redis.call('HGET', in_flight, field)
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
      redis.call('HDEL', in_flight, field)
    else
      redis.call('HSET', in_flight, field, write_batch(batch.epoch, batch.deaths, batch.ids, batch.scores))
    end
    drop_payloads(ended)
  end
  at = at + 3 + notes * 6
end
return put_off
