#!lua flags=allow-oom
-- Read the generations.
-- KEYS[1]  the log
-- KEYS[2]  the generations
-- ARGV[1]  fresh label
-- Returns {label, last id of the log, earlier generations}.
return {current_generation(KEYS[2], KEYS[1], ARGV[1])}
