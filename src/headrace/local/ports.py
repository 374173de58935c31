"""Which TCP ports of this machine are free."""

import random
import socket

# Below the range the kernel takes for outgoing connections: a client that dials a stopped
# server on a port of that range can be given the very same port and connect to itself.
_LOWEST, _HIGHEST = 20_000, 32_000
_HOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((_HOST, port))
            server.listen(1)
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port that is free now; another process may take it before you do."""
    choose = random.SystemRandom()
    while True:
        port = choose.randint(_LOWEST, _HIGHEST)
        if is_free(port):
            return port


def accepts(port: int, timeout_s: float = 0.2) -> bool:
    """Tell whether something accepts connections on the port of the loopback address."""
    try:
        socket.create_connection((_HOST, port), timeout_s).close()
    except OSError:
        return False
    return True
