#!lua flags=allow-oom
-- Note how a call ended. KEYS: dead letters. ARGV: job, start of a payload's key, of a receipt's, of a listener's, ms that receipts are kept, dead
-- letters at most, their bytes at most, queue, receipt ('' for none), listener (''), reason of a dead letter (''), path, traceback.
tell(ARGV[3], ARGV[4], ARGV[5], ARGV[1], ARGV[9], ARGV[10])
if ARGV[11] ~= '' then
  bury(KEYS[1], ARGV[6], tonumber(ARGV[7]), ARGV[8], ARGV[1], read_payload(ARGV[2] .. ARGV[1]), ARGV[11], ARGV[12], ARGV[13])
end
return 1
