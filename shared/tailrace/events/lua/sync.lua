#!lua flags=allow-oom
-- Answer what the generations are. KEYS: log, generations. ARGV: fresh label. Returns label, last id of the log, past generations.
return {current_generation(KEYS[2], KEYS[1], ARGV[1])}
