"""A small ASGI application for real gunicorn workers.

With JOURNAL in the environment it writes down, in the file of that name, which requests it has begun and ended, and the
answer to what begins with `/slow` waits until the file named by RELEASE is there.
"""

import asyncio
import hashlib
import os

JOURNAL = os.environ.get("JOURNAL")


def note(what, path):
    """One line in one write: the files of several workers are one and the same."""
    if JOURNAL:
        with open(JOURNAL, "ab", buffering=0) as file:
            file.write(b"%s %s %d\n" % (what, path.encode(), os.getppid()))


async def released():
    """Until the test says so, or has been forgotten."""
    for _ in range(3000):
        if os.path.exists(os.environ["RELEASE"]):
            return
        await asyncio.sleep(0.01)


async def respond(send, status, body, fields=()):
    headers = [(b"content-length", b"%d" % len(body)), *fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive):
    """The count and the digest of the request's body."""
    made, count, more = hashlib.sha256(), 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        made.update(message.get("body", b""))
        count += len(message.get("body", b""))
        more = message.get("more_body", False)
    return count, made.hexdigest()


async def events(send):
    """Three server-sent events, each sent on its own."""
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/event-stream")]})
    for number in range(3):
        event = b"data: %d\n\n" % number
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def echo_messages(receive, send):
    """A WebSocket that sends back what it gets."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        answer = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
        await send({"type": "websocket.send", **answer})


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await echo_messages(receive, send)
        return
    path = scope["path"]
    if path == "/events":
        await events(send)
    elif path == "/scope":
        fields = b"\n".join(name + b": " + value for name, value in scope["headers"])
        await respond(send, 200, fields)
    else:
        note(b"begun", path)
        read = await read_body(receive)
        if JOURNAL and path.startswith("/slow"):
            await released()
        if read is not None:
            await respond(send, 200, b"%s %d %s %d" % (
                path.encode(), read[0], read[1].encode(), os.getppid()))
        note(b"ended", path)
