#!/bin/sh
# Push from a shell with redis-cli.
set -eu
redis() { redis-cli -u "${TAILRACE_REDIS_URL:-redis://127.0.0.1:6379/0}" "$@"; }

now=$(date +%s)000
id=$now-$(od -An -N8 -tx1 /dev/urandom | tr -d ' ')
push='{"to": "room:1", "event": "greeting", "data": {"from": "shell"}}'

redis set "arq:job:$id" "{\"t\": null, \"f\": \"push\", \"a\": [$push], \"k\": {}, \"et\": $now}" px 86400000
redis zadd tailrace:queue "$now" "$id"
