"""What stands in the way of a goal, by profiles of November 2026; the page shows it while the goal isn't met."""

OBSTACLES = {
    "cpu": """**CPU per delivery, times the kernel floor**: four fifths of a fan-out are the kernel's `write`, beside which ours costs
  1.1 to 1.2 times the C loop's on the same sockets. What is added is the event's own way: a wake-up, the answer of `XREAD`, a turn
  of the loop; some hundred us in all, which the clients share out among them.""",
    "few": """**CPU per delivery at 100 clients**: an event's own way (a wake-up, the answer of `XREAD`, a turn of the loop) costs some
  hundred us, which 100 clients share out among them as 5,000 do.""",
    "crowd": """**CPU per delivery at many clients, times that at 1,000**: the kernel's `write` costs more where there are more sockets.
  The C loop's cost grows as well, in the table of single events below; beside it ours stays what it is.""",
    "channels": """**CPU per event for one client, over channels**: rounds of one size differ by as much as sizes do, and the cost doesn't
  grow from row to row. Nothing that an edge does for an event depends on how many channels there are.""",
    "latency": """**p99 at 50 events/s**: the C loop misses it too on this machine, since 1,000 writes of 10 us take 10 ms of one core.
  The goal stems from a machine with four.""",
    "accepts": """**Accepts with replay**: no command goes to Redis for a replay, and registration is batched. Of what an accept still
  costs, a third is the event loop's and the kernel's (`accept`, `read`, `write`), a fifth reading the request, a fifth telling Redis
  of the client, a sixth the first frames.""",
    "many": """**push_many**: Redis is the larger side, and one core. Of what it does, 95 % are the commits, and four are on their way at a
  time, so that it doesn't wait for the worker between them.""",
    "cores": """**Two workers with a queue each**: one worker and Redis keep a core busy each already, and this machine has no third. Where
  cores don't limit them they add up: workers that the kernel gives a tenth of a core each carried 1.96, 3.17 and 4.31 times what one did,
  with two, three and four queues; two on one queue 1.06 times.""",
    "commits": """**Redis' CPU per event of a commit**: by contract an event is two XADDs, to log and history, and its channel's last id. A
  fifth of its cost is the commands themselves, a quarter the append-only file, the rest what a call costs a script, in arguments, answer
  and Lua. The bare script beside it writes the same and does nothing else.""",
    "append": """**Enqueue to append when idle**: a job comes with its ring, so there is one round trip left, the commit, beside the
  enqueue and the reader's own. Redis shares its core with the producer here. The worker's own part is 0.25 ms.""",
}
