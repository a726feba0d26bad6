-- The shard's generations, in one hash: `label` (of the newest), `replid` (Redis' own, when it began), `top` (last id of the log),
-- `past` (lines of "<label> <last id that survived>", oldest first).

local MAX_PAST = 32

local function last_id(log)
  if redis.call('EXISTS', log) == 0 then return '0-0' end
  local info = redis.call('XINFO', 'STREAM', log)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1] end
  end
end

-- Refuse, before anything is written, while a Cluster moves this slot: a script that names keys as it goes would stop at the first one
-- that isn't there, with what it has written left behind. For a slot on its way, any key that doesn't exist is refused.
local function refuse_if_moving(key)
  local answer = redis.pcall('EXISTS', key .. ':moving')
  if type(answer) == 'table' then error(redis.error_reply('TRYAGAIN the shard is being moved to another node')) end
end

-- Return the newest generation's label, the log's last id and the generations before, beginning a new generation if another Redis
-- wrote last (`replid` changes at restart and promotion) or none is known. `fresh` is a random label, used if one is needed.
local function current_generation(key, log, fresh)
  refuse_if_moving(key)
  local state = redis.call('HMGET', key, 'label', 'replid', 'top', 'past')
  local label, replid, top, past = state[1], state[2], state[3], state[4] or ''
  local here = replication_id()
  if here == '' then error(redis.error_reply('ERR INFO replication tells no master_replid, which tells generations apart')) end
  if label and replid == here then return label, top, past end
  top = last_id(log)
  if label then past = past .. label .. ' ' .. top .. '\n' end
  local _, count = past:gsub('\n', '\n')
  for _ = MAX_PAST + 1, count do past = past:gsub('^[^\n]*\n', '') end
  redis.call('HSET', key, 'label', fresh, 'replid', here, 'top', top, 'past', past)
  return fresh, top, past
end
