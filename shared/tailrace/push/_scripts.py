"""The producers' Lua scripts; `enqueue.lua` is the one that producers in other languages may use too."""

from tailrace.redis import Scripts

script = Scripts(__package__)
