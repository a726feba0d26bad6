"""The Lua scripts of the logs."""

from tailrace.redis import Scripts

script = Scripts(
    __package__,
    {
        "emit": ("generation", "append"),
        "commit": ("generation", "append"),
        "sync": ("generation",),
        "read": ("generation",),
        "trim": ("generation",),
        "revoke": ("generation",),
        "revocations": ("generation",),
    },
)
