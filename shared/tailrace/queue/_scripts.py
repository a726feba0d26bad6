"""The queue's Lua scripts; `enqueue.lua` is the one that producers in other languages may use too."""

from tailrace.redis import Scripts

script = Scripts(
    __package__,
    {
        "acquire": ("batch",),
        "take": ("batch",),
        "finish": ("batch", "ending"),
        "claim": ("claims", "time"),
        "keep": ("claims", "time"),
        "settle": ("claims", "ending"),
        "defer": ("claims",),
        "tick": ("claims",),
    },
)
