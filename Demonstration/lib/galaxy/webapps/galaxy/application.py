"""An ASGI application that has from outside what matters of Galaxy to a proxy.

| Request | Answer |
| --- | --- |
| `GET /` | a page |
| `GET /api/version` | Galaxy's version, the answer that readiness is measured by; HEAD is 404, as in Galaxy |
| `GET /api/request` | the request as it arrived: method, path, query, fields |
| `GET /api/slow?seconds=N` | an answer after N seconds (5) |
| `POST /api/echo/KEY` | the body as it came; the field `x-executions` tells how often KEY was posted, to any worker |
| `GET /api/echo/KEY` | that count |
| `GET /api/events/stream?interval=N&events=N` | server-sent events, one every N seconds (1), endless or N of them |
| WebSocket `/api/websocket` | every message comes back |
| `PUT` or `POST /api/upload` | size and SHA-256 of the body |
| `GET /api/download?bytes=N&framing=chunked` | N bytes (1 MiB), with a length or chunked |
"""

import asyncio
import hashlib
import html
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from galaxy.version import VERSION, VERSION_MAJOR, VERSION_MINOR

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# What a download consists of, again and again: bytes without a short period, the same on every server.
DOWNLOAD_PATTERN = hashlib.shake_256(b"galaxy-lb demonstration").digest(1 << 18)

ECHO_LIMIT = 16 << 20

PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Galaxy, the demonstration</title></head>
<body>
<h1>Galaxy, the demonstration</h1>
<p>Version {version}, served by {server}, process {process}.</p>
<ol id="events"></ol>
<script>
  new EventSource("/api/events/stream").addEventListener("tick", (event) => {{
    const line = document.createElement("li");
    line.textContent = event.data;
    document.getElementById("events").prepend(line);
  }});
</script>
</body>
</html>
"""


class Refusal(Exception):
    """A request that can't be answered as asked: the status, and what to say about it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Request:
    """One HTTP request: the ASGI scope with the few readings of it that handlers share."""

    def __init__(self, scope: Message, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: str = scope["raw_path"].decode("latin-1")
        self.query_string: str = scope["query_string"].decode("latin-1")
        self.fields: list[list[str]] = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
        # uvicorn gives the path of a unix socket in the place of the host.
        self.server = Path((scope.get("server") or ("?",))[0]).stem
        self._receive = receive

    def field(self, name: str) -> str | None:
        """The first value of the field, or None; `name` in lower case."""
        return next((value for key, value in self.fields if key == name), None)

    def number(self, name: str, default: float, most: float) -> float:
        """The query's parameter as a number from 0 to `most`."""
        text = parse_qs(self.query_string).get(name, [str(default)])[-1]
        try:
            number = float(text)
        except ValueError:
            raise Refusal(400, f"{name}: found {text!r}, expected a number") from None
        if not 0 <= number <= most:
            raise Refusal(400, f"{name}: found {text}, expected 0 to {most:g}")
        return number

    def parameter(self, name: str, choices: tuple[str, ...]) -> str:
        """The query's parameter, one of `choices`; the first of them is the default."""
        text = parse_qs(self.query_string).get(name, [choices[0]])[-1]
        if text not in choices:
            raise Refusal(400, f"{name}: found {text!r}, expected {' or '.join(choices)}")
        return text

    async def body(self) -> AsyncIterator[bytes]:
        """The body's pieces as they arrive. Raises ConnectionAbortedError if the client leaves before its end."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionAbortedError
            if piece := message.get("body", b""):
                yield piece
            if not message.get("more_body", False):
                return

    async def disconnected(self) -> None:
        """Returns when the client has left."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def stays_for(self, seconds: float) -> bool:
        """Waits, and tells whether the client was there to the end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.disconnected(), seconds)
            return False
        return True


class Response:
    """The way back: a head once, then the body in one piece or many."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def head(self, status: int, fields: dict[str, str]) -> None:
        """Sends the status and the fields; the body has to follow."""
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in fields.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def body(self, piece: bytes, more: bool) -> None:
        """Sends a piece of the body; `more` tells whether others follow."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": more})

    async def whole(self, status: int, content_type: str, content: bytes, fields: dict[str, str] | None = None) -> None:
        """Sends a complete response."""
        length = {"content-type": content_type, "content-length": str(len(content))}
        await self.head(status, length | (fields or {}))
        await self.body(content, more=False)

    async def json(self, value: object, status: int = 200) -> None:
        """Sends a complete response with a JSON value."""
        await self.whole(status, "application/json", json.dumps(value).encode() + b"\n")


Handler = Callable[["Application", Request, Response], Awaitable[None]]


class Application:
    """The ASGI application. `executions` is the folder of the counts, one file a key, shared by all workers."""

    def __init__(self, executions: Path) -> None:
        self._executions = executions

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(Request(scope, receive), Response(send))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            phase = (await receive())["type"]
            await send({"type": f"{phase}.complete"})
            if phase == "lifespan.shutdown":
                return

    async def _websocket(self, scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] != "/api/websocket":
            # Before the handshake is accepted, this is an answer with status 403.
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            echo = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
            await send({"type": "websocket.send"} | echo)

    async def _http(self, request: Request, response: Response) -> None:
        try:
            await self._handler(request)(self, request, response)
        except Refusal as refusal:
            await response.json({"err_msg": str(refusal)}, refusal.status)
        except ConnectionAbortedError:
            # The client left in the middle of its body: nobody is there to be answered.
            return

    def _handler(self, request: Request) -> Handler:
        for pattern, methods in ROUTES:
            if re.fullmatch(pattern, request.path):
                if request.method in methods:
                    return methods[request.method]
                # Galaxy answers 404 to HEAD of its API.
                raise Refusal(404 if request.method == "HEAD" else 405, f"{request.method} isn't for {request.path}")
        raise Refusal(404, f"there is nothing at {request.path}")

    async def page(self, request: Request, response: Response) -> None:
        """`GET /`."""
        page = PAGE.format(version=html.escape(VERSION), server=html.escape(request.server), process=os.getpid())
        await response.whole(200, "text/html; charset=utf-8", page.encode())

    async def version(self, request: Request, response: Response) -> None:
        """`GET /api/version`."""
        await response.json({"version_major": VERSION_MAJOR, "version_minor": VERSION_MINOR})

    async def request(self, request: Request, response: Response) -> None:
        """`GET /api/request`."""
        await response.json(
            {
                "method": request.method,
                "path": request.raw_path,
                "query": request.query_string,
                "fields": request.fields,
                "server": request.server,
                "process": os.getpid(),
            }
        )

    async def slow(self, request: Request, response: Response) -> None:
        """`GET /api/slow`."""
        seconds = request.number("seconds", default=5, most=600)
        if await request.stays_for(seconds):
            await response.json({"seconds": seconds, "server": request.server, "process": os.getpid()})

    async def echo(self, request: Request, response: Response) -> None:
        """`POST /api/echo/KEY`. The count rises when the body is complete."""
        body = bytearray()
        async for piece in request.body():
            body += piece
            if len(body) > ECHO_LIMIT:
                raise Refusal(413, f"more than {ECHO_LIMIT} bytes to echo")
        executions = self._count(request, one_more=True)
        content_type = request.field("content-type") or "application/octet-stream"
        await response.whole(200, content_type, bytes(body), {"x-executions": str(executions)})

    async def executions(self, request: Request, response: Response) -> None:
        """`GET /api/echo/KEY`."""
        await response.json({"executions": self._count(request, one_more=False)})

    def _count(self, request: Request, one_more: bool) -> int:
        """How often the key of the path was posted. A byte a time, appended: atomic among processes."""
        path = self._executions / request.path.rpartition("/")[2]
        if not one_more:
            return path.stat().st_size if path.exists() else 0
        with path.open("ab", buffering=0) as file:
            file.write(b"+")
            return file.tell()

    async def events(self, request: Request, response: Response) -> None:
        """`GET /api/events/stream`. A `Last-Event-ID` goes on with the number after it."""
        interval = request.number("interval", default=1, most=600)
        count = int(request.number("events", default=0, most=1_000_000))
        last = request.field("last-event-id") or "0"
        first = int(last) + 1 if re.fullmatch("[0-9]{1,15}", last) else 1
        await response.head(200, {"content-type": "text/event-stream", "cache-control": "no-store"})
        await response.body(b"retry: 1000\n\n", more=True)
        number = first
        while count == 0 or number < first + count:
            data = json.dumps({"server": request.server, "process": os.getpid(), "number": number})
            await response.body(f"id: {number}\nevent: tick\ndata: {data}\n\n".encode(), more=True)
            number += 1
            if not await request.stays_for(interval):
                return
        await response.body(b"", more=False)

    async def upload(self, request: Request, response: Response) -> None:
        """`PUT` or `POST /api/upload`."""
        size = 0
        digest = hashlib.sha256()
        async for piece in request.body():
            size += len(piece)
            digest.update(piece)
        await response.json({"size": size, "sha256": digest.hexdigest()})

    async def download(self, request: Request, response: Response) -> None:
        """`GET /api/download`."""
        remaining = int(request.number("bytes", default=1 << 20, most=1 << 40))
        fields = {"content-type": "application/octet-stream"}
        if request.parameter("framing", ("length", "chunked")) == "length":
            fields["content-length"] = str(remaining)
        await response.head(200, fields)
        gone = asyncio.create_task(request.disconnected())
        while remaining > len(DOWNLOAD_PATTERN):
            await response.body(DOWNLOAD_PATTERN, more=True)
            remaining -= len(DOWNLOAD_PATTERN)
            # Nobody waits for a send to a client that has left, so the loop has to be given its turn.
            await asyncio.sleep(0)
            if gone.done():
                return
        gone.cancel()
        await response.body(DOWNLOAD_PATTERN[:remaining], more=False)


ROUTES: list[tuple[str, dict[str, Handler]]] = [
    (r"/", {"GET": Application.page}),
    (r"/api/version", {"GET": Application.version}),
    (r"/api/request", {"GET": Application.request}),
    (r"/api/slow", {"GET": Application.slow}),
    (r"/api/echo/[A-Za-z0-9_-]{1,64}", {"GET": Application.executions, "POST": Application.echo}),
    (r"/api/events/stream", {"GET": Application.events}),
    (r"/api/upload", {"PUT": Application.upload, "POST": Application.upload}),
    (r"/api/download", {"GET": Application.download}),
]
