#!lua
-- Put the job of a dead letter back into its queue. One step per letter: the job can neither vanish nor be in both places.
-- KEYS[1]  dead letters
-- KEYS[2]  the queue that the job came from
-- KEYS[3]  the job's payload
-- KEYS[4]  the job's receipt
-- KEYS[5]  the queue's bell
-- ARGV[1]  id of the letter
-- ARGV[2]  id of the job
-- ARGV[3]  payload
-- ARGV[4]  how long the payload is kept, ms
-- Returns '', or why the letter stays.
local letters, queue, payload_key, receipt, bell = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local letter, job, payload, keep_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('EXISTS', payload_key) == 1 then return 'another job has its id' end
if redis.call('XDEL', letters, letter) == 0 then return 'it is gone' end
redis.call('SET', payload_key, payload, 'PX', keep_ms)
redis.call('ZADD', queue, now_ms(), job)
redis.call('DEL', receipt, 'arq:result:' .. job) -- of the run that failed
ring(bell)
return ''
