"""The streams of clients: how one is admitted, gets live events, catches up, is kept alive, and ends."""
