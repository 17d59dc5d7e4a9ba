"""Addresses as the proxy's command line writes them: `unix:PATH` or `HOST:PORT`."""

import errno
import fcntl
import os
import socket
import struct
import termios
import time

LINGER_RESET = struct.pack("ii", 1, 0)


def is_unix(address):
    return address.startswith("unix:")


def socket_address(address):
    """The family and the address that Python's socket module takes."""
    if is_unix(address):
        return socket.AF_UNIX, address[len("unix:"):]
    host, _, port = address.rpartition(":")
    return socket.AF_INET, (host, int(port))


def connect(address, timeout=10.0):
    family, place = socket_address(address)
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        sock.connect(place)
    except OSError:
        sock.close()
        raise
    if family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def listen(address, backlog=512):
    """A listening socket; for a unix address the file is made anew."""
    family, place = socket_address(address)
    sock = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_UNIX:
        if os.path.exists(place):
            os.unlink(place)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(place)
    sock.listen(backlog)
    return sock


def free_port():
    """A TCP port of the loopback that nobody listens on now.

    Below the kernel's ephemeral range, so that no outgoing connection takes it
    before the program under test binds it.
    """
    for _ in range(200):
        port = 10000 + int.from_bytes(os.urandom(2), "big") % 20000
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return port
    raise AssertionError("no free port among 200")


def reset(sock):
    """Closes with a reset in place of a FIN (TCP); a unix socket just closes."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    sock.close()


def unread_by_peer(sock):
    """How many bytes that we sent the peer's program has not read yet."""
    if sock.family == socket.AF_UNIX:
        return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]
    ours, theirs = (
        f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"
        for host, port in (sock.getsockname(), sock.getpeername())
    )
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            columns = line.split()
            if columns[1] == theirs and columns[2] == ours:
                return int(columns[4].split(":")[1], 16)
    return 0


def wait_until_read(sock, timeout=5.0):
    """Returns when the peer's program has read all, or the connection is over."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            if unread_by_peer(sock) == 0:
                return True
        except OSError:
            return False
        time.sleep(0.0005)
    return False
