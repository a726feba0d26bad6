"""What an edge knows of the logs: segments, a ring of the newest, and each shard's tail. No I/O."""
