"""Addresses as the proxy's command line writes them: `unix:PATH` or `HOST:PORT`."""

import errno
import fcntl
import os
import select
import socket
import struct
import termios
import time

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
LINGER_RESET = struct.pack("ii", 1, 0)


def is_unix(address):
    return address.startswith("unix:")


def socket_address(address):
    """The family and the address that Python's socket module takes."""
    if is_unix(address):
        return socket.AF_UNIX, address[len("unix:"):]
    host, _, port = address.rpartition(":")
    return socket.AF_INET, (host, int(port))


def connect(address, timeout=10.0, segment=None):
    """A connected socket; over TCP its peer sends segments of at most `segment` bytes."""
    family, place = socket_address(address)
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    if family == socket.AF_INET and segment:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
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
    return receive_queue(sock.getpeername(), sock.getsockname())


def receive_queue(local, remote):
    """How many bytes the owner of a TCP connection has not read yet (sock_diag(7)).

    The kernel is asked for the one socket: its table in /proc is long on a busy machine.
    """
    places = struct.pack("!HH4s12x4s12x", local[1], remote[1],
                         socket.inet_aton(local[0]), socket.inet_aton(remote[0]))
    no_cookie = b"\xff" * 8
    request = struct.pack("BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF)
    request += places + struct.pack("I", 0) + no_cookie
    header = struct.pack("IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.send(header + request)
        answer = kernel.recv(4096)
    kind, = struct.unpack_from("H", answer, 4)
    if kind != SOCK_DIAG_BY_FAMILY:
        return 0
    remote_port, = struct.unpack_from("!H", answer, 16 + 6)
    unread, = struct.unpack_from("I", answer, 16 + 56)
    return unread if remote_port == remote[1] else 0


def wait_until_read(sock, timeout=8.0):
    """Returns when the peer's program has read all, or has ended the connection."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            unread = unread_by_peer(sock)
        except OSError:
            return
        if unread == 0 or select.select([sock], [], [], 0)[0]:
            return
        assert time.monotonic() < deadline, f"{unread} bytes are not read within {timeout} s"
        time.sleep(0.0005)
