"""Which clients this edge has, and telling the registry in Redis."""
