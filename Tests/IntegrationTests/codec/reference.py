"""h11's opinion of a message, in the words that the test compares."""

from dataclasses import dataclass, field

import h11

UNLIMITED = 1 << 30


@dataclass
class Reading:
    """What a reader says of a message: `accepted`, `refused` or `incomplete`, for its head and for its body."""

    head: str
    head_length: int = 0
    event: h11.Event | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: str = "incomplete"
    content: bytes = b""
    body_length: int = 0
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    why: str = ""


def read_request(data: bytes) -> Reading:
    """Reads a request and its body, as a server."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=UNLIMITED)
    return _read(connection, data, ends=False)


def read_response(data: bytes, method: str, websocket: bool = False) -> Reading:
    """Reads a response to a request of a method, after which the connection is closed, as a client."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=UNLIMITED)
    headers = [("Host", "h")] + ([("Upgrade", "websocket"), ("Connection", "upgrade")] if websocket else [])
    connection.send(h11.Request(method=method, target="/", headers=headers))
    connection.send(h11.EndOfMessage())
    return _read(connection, data, ends=True)


def _read(connection: h11.Connection, data: bytes, ends: bool) -> Reading:
    if not data:
        return Reading("incomplete")
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        return Reading("refused", why=str(error))
    if event is h11.NEED_DATA:
        return Reading("incomplete")
    reading = Reading("accepted", len(data) - len(connection.trailing_data[0]), event, list(event.headers))
    if isinstance(event, h11.InformationalResponse):
        reading.body = "accepted"
        return reading
    if ends:
        connection.receive_data(b"")
    try:
        _read_body(connection, reading, len(data))
    except h11.RemoteProtocolError as error:
        # Cut short is not malformed.
        cut = "incomplete" in str(error) or "without sending complete" in str(error) or "unexpectedly" in str(error)
        reading.body, reading.why = "incomplete" if cut else "refused", str(error)
    return reading


def _read_body(connection: h11.Connection, reading: Reading, length: int) -> None:
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Data):
            reading.content += event.data
        elif isinstance(event, h11.EndOfMessage):
            reading.body = "accepted"
            reading.trailers = list(event.headers)
            reading.body_length = length - reading.head_length - len(connection.trailing_data[0])
            return
        else:
            return
