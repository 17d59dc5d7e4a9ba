"""The load: requests at a rate, whatever became of those before, and long connections beside them."""

import asyncio
import collections
import time
from dataclasses import dataclass

from connection import Connection, Cut
from sessions import EventStream, WebSocket, upload

POST_SHARE = 0.45
GIVE_UP_SECONDS = 60.0
SLOW_SECONDS = 3


@dataclass(slots=True)
class Request:
    """One request: when it was due (by the monotonic clock), how long it took from then on, and what came of it."""

    kind: str
    method: str
    number: int
    due: float
    seconds: float
    outcome: str


class Traffic:
    """All clients of one run, on one event loop."""

    def __init__(self, port, rate, upload_size=0, upload_seconds=20, streams=20, websockets=20):
        """Takes requests a second, and the bytes of an upload, 0 for none, with the time that it takes to send."""
        self.port = port
        self.rate = rate
        self.upload_size = upload_size
        self.upload_seconds = upload_seconds
        self.requests = []
        self.uploads = collections.Counter()
        self.streams = [EventStream(port) for _ in range(streams)]
        self.websockets = [WebSocket(port) for _ in range(websockets)]
        self._idle = []
        self._under_way = set()

    async def start(self):
        """Begins everything."""
        self._is_stopping = False
        self._processor_seconds = time.process_time()
        self._began = time.monotonic()
        self._sessions = [asyncio.create_task(it.run()) for it in [*self.streams, *self.websockets]]
        self._arrivals = asyncio.create_task(self.arrive())
        self.begin(self.run_uploads())

    async def stop(self):
        """Sends nothing new, and waits for what is under way. Returns the share of a CPU that the load took."""
        self._is_stopping = True
        self._arrivals.cancel()
        while self._under_way:
            await asyncio.wait(self._under_way)
        share = (time.process_time() - self._processor_seconds) / (time.monotonic() - self._began)
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, self._arrivals, return_exceptions=True)
        for connection in self._idle:
            connection.transport.close()
        return share

    async def run_uploads(self):
        while self.upload_size and not self._is_stopping:
            outcome = await asyncio.to_thread(upload, self.port, self.upload_size, self.upload_seconds)
            self.uploads[outcome] += 1
            if outcome != "ok":
                await asyncio.sleep(1)

    async def arrive(self):
        number = 0
        while True:
            due = self._began + number / self.rate
            if (delay := due - time.monotonic()) > 0:
                await asyncio.sleep(delay)
            self.begin(self.request(number, due))
            number += 1

    def begin(self, work):
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def request(self, number, due):
        method = "POST" if number % 20 < POST_SHARE * 20 else "GET"
        # Of 500 requests two are slow and five are answered in pieces.
        kind = "slow" if number % 250 == 0 else "streamed" if number % 100 == 59 else "fast"
        message, expected = compose(kind, method, number)
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                answer = await (await self.connection()).exchange(message)
            outcome = str(answer.status)
            if answer.status == 200 and expected is not None and answer.body != expected:
                outcome = "wrong content"
        except TimeoutError:
            outcome = "no answer in time"
        except Cut as cut:
            outcome = str(cut)
        except OSError as error:
            outcome = type(error).__name__
        self.requests.append(Request(kind, method, number, due, time.monotonic() - due, outcome))

    async def connection(self):
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self._idle), "127.0.0.1", self.port)
        return connection


def compose(kind, method, number):
    """The bytes of a request, and the body of its answer, None for any."""
    if kind == "streamed":
        target, expected = "/benchmark/streamed", b"x" * 10_000
    elif method == "POST":
        target, expected = f"/benchmark/post/{number}", b"%d" % number
    else:
        target, expected = "/api/version", None
    if kind == "slow":
        target = (target if method == "POST" else "/api/slow") + f"?seconds={SLOW_SECONDS}"
    body = b"x" * 200 if method == "POST" else b""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {target} HTTP/1.1\r\nHost: galaxy.example\r\n{length}\r\n".encode() + body, expected
