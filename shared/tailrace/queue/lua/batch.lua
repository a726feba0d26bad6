-- A batch in flight is a field of the hash of batches in flight. Its name "<series>.<number>" is the ticket of its first job; the tickets
-- of the others count on from there. Its value holds the epoch that has the batch, how many deaths it has seen, and for each job its id
-- (false
-- once the job has ended) and its score.
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
