"""The factory that Gravity hands to gunicorn, for the benchmark: the stand-in, and requests whose fate is on record.

| Request | Answer |
| --- | --- |
| `POST /benchmark/post/ID?seconds=N` | the ID, after N seconds (0); that it was carried out is written down before |
| `GET /benchmark/streamed?pieces=N&interval=N` | N pieces (10), one every N seconds (0.1), chunked |
| `GET /benchmark/events?interval=N` | server-sent events without end, each sent in two pieces |
"""

import asyncio
import os
import time
from pathlib import Path

from .application import Application, Request, Response

ROOT = Path(os.environ["GALAXY_CONFIG_FILE"]).resolve().parent.parent
EXECUTED = os.open(ROOT / "database" / "executed", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


class RecordedApplication(Application):
    """The stand-in's application, with the requests of the benchmark before it."""

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"].startswith("/benchmark/"):
            request, response = Request(scope, receive), Response(send)
            try:
                await getattr(self, scope["path"].split("/")[2])(request, response)
            except ConnectionAbortedError:
                return
        else:
            await super().__call__(scope, receive, send)

    async def post(self, request, response):
        async for _ in request.body():
            pass
        identity = request.path.rpartition("/")[2].encode()
        os.write(EXECUTED, identity + b"\n")
        if seconds := request.number("seconds", default=0, most=600):
            await asyncio.sleep(seconds)
        await response.whole(200, "text/plain", identity)

    async def streamed(self, request, response):
        pieces = int(request.number("pieces", default=10, most=100_000))
        interval = request.number("interval", default=0.1, most=60)
        await response.head(200, {"content-type": "application/octet-stream"})
        for _ in range(pieces):
            await response.body(b"x" * 1000, more=True)
            await asyncio.sleep(interval)
        await response.body(b"", more=False)

    async def events(self, request, response):
        interval = request.number("interval", default=0.5, most=600)
        fields = {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no"}
        await response.head(200, fields)
        number = int(request.field("last-event-id") or 0)
        while True:
            number += 1
            await response.body(f"id: {number}\nevent: tick\n".encode(), more=True)
            # A moment in which a proxy that ends the stream would cut an event in two.
            await asyncio.sleep(0.1)
            await response.body(f"data: {number}\n\n".encode(), more=True)
            if not await request.stays_for(interval):
                return


def factory():
    """The application. A Galaxy takes its time to boot: without preload its socket accepts long before it answers."""
    time.sleep(float(os.environ["BOOT_SECONDS"]))
    executions = ROOT / "database" / "executions"
    executions.mkdir(parents=True, exist_ok=True)
    return RecordedApplication(executions)
