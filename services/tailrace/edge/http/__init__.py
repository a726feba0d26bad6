"""HTTP: sockets and requests on one side, the engine on the other; and the processes that share a port."""
