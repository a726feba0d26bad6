-- A job's payload, or false where its key is gone or of another type, which would fail each script that comes by.
local function read_payload(key)
  local payload = redis.pcall('GET', key)
  if type(payload) ~= 'table' then return payload end
  if not payload.err:find('WRONGTYPE', 1, true) then error(payload) end
  return false
end
