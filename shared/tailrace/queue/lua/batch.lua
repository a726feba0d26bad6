-- A batch in hand: a field "<series>.<first>" names the ticket of its first job, the others count on from there. Its value holds the epoch
-- that has it, how many deaths it has seen, and for each job its id (false once it has ended) and its score.
local function read_batch(field, value)
  local series, first = field:match('^(%d+)%.(%d+)$')
  local epoch, deaths, rest = value:match('^(%d+) (%d+) (.*)$')
  local jobs = cmsgpack.unpack(rest)
  return {
    field = field, series = series, first = tonumber(first), epoch = tonumber(epoch), deaths = tonumber(deaths),
    ids = jobs[1], scores = jobs[2],
  }
end

local function write_batch(epoch, deaths, ids, scores)
  return string.format('%.0f %.0f ', epoch, deaths) .. cmsgpack.pack({ids, scores})
end
