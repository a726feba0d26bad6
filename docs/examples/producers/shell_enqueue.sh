#!/bin/sh
# Push from a shell with the published enqueue script: one round trip, strict order, and a repeat enqueues nothing twice.
# The script is enqueue.lua beside this file; a copy works anywhere.
set -eu
redis() { redis-cli -u "${TAILRACE_REDIS_URL:-redis://127.0.0.1:6379/0}" "$@"; }

producer=shell-$(od -An -N8 -tx1 /dev/urandom | tr -d ' ')
job='{"t": null, "f": "push", "a": [{"to": "room:1", "event": "greeting", "data": {"from": "shell_enqueue"}}], "k": {}, "et": 0}'

# Keys: the producer's number, the queue, its line, its bell. Then: number, ms to remember it, ms to keep the payload, no limit,
# first queue, id, payload, due at once.
enqueue() {
  redis --eval "${ENQUEUE:-enqueue.lua}" \
    "tailrace:producer:0:$producer" tailrace:queue tailrace:line:0 tailrace:bell:0 , \
    1 3600000 604800000 0 1 "$producer-1" "$job" ""
}
enqueue
enqueue # a repeat, as after a lost answer
