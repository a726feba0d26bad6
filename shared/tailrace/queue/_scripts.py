"""The queue's Lua scripts; `enqueue.lua` is the one that producers in other languages may use too."""

from tailrace.redis import Scripts

script = Scripts(
    __package__,
    {
        "acquire": ("batch", "replication"),
        "take": ("batch", "replication"),
        "finish": ("batch", "payload", "bell", "ending"),
        "claim": ("payload", "bell", "claims", "time"),
        "keep": ("payload", "claims", "time"),
        "settle": ("payload", "bell", "claims", "ending"),
        "shelve": ("payload", "bell", "claims"),
        "tick": ("payload", "claims"),
    },
)
