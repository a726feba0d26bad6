"""Push from a script, or from a WSGI application such as Django or Flask."""

import os

from tailrace.push import BlockingPusher

with BlockingPusher(os.environ.get("TAILRACE_REDIS_URL", "redis://127.0.0.1:6379/0")) as pusher:
    job = pusher.push("room:1", {"from": "python_blocking"}, event="greeting")
    end = job.receipt(wait_s=5)
    print(end.receipts[0].message if end else "no receipt yet")
