"""An open-loop load: requests start when they are due, whatever became of those before (no coordinated omission)."""

import asyncio
import time
from dataclasses import dataclass, field


@dataclass
class Result:
    """One request: when it was due, how long it took from then on, and what came of it."""

    due: float
    seconds: float
    target: str
    outcome: str


@dataclass
class Load:
    """GETs and POSTs to one address at a rate, on connections that are kept."""

    port: int
    rate: float
    seconds: float
    post_share: float = 0.45
    give_up: float = 60.0
    results: list = field(default_factory=list)

    async def run(self):
        self.idle = []
        start = time.monotonic()
        tasks = []
        for number in range(int(self.rate * self.seconds)):
            due = start + number / self.rate
            delay = due - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)
            tasks.append(asyncio.create_task(self.request(number, start, due)))
        await asyncio.gather(*tasks)
        for _, writer in self.idle:
            writer.close()
        return self.results

    async def request(self, number, start, due):
        posts = number % 20 < self.post_share * 20
        target = f"/{'post' if posts else 'get'}/{number}"
        try:
            outcome = await asyncio.wait_for(self.exchange(target, posts), self.give_up)
        except TimeoutError:
            outcome = "no answer"
        except OSError as error:
            outcome = type(error).__name__
        except asyncio.IncompleteReadError:
            outcome = "cut"
        self.results.append(Result(due - start, time.monotonic() - due, target, outcome))

    async def exchange(self, target, posts):
        if self.idle:
            reader, writer = self.idle.pop()
            if reader.at_eof():
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            body = b"x" * 200 if posts else b""
            length = f"Content-Length: {len(body)}\r\n" if posts else ""
            method = "POST" if posts else "GET"
            writer.write(f"{method} {target} HTTP/1.1\r\nHost: galaxy.example\r\n{length}\r\n".encode() + body)
            head = await reader.readuntil(b"\r\n\r\n")
            fields = {}
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                fields[name.strip().lower()] = value.strip()
            if fields.get(b"transfer-encoding"):
                while int((await reader.readuntil(b"\r\n")).strip() or b"0", 16):
                    await reader.readuntil(b"\r\n")
                await reader.readuntil(b"\r\n")
            else:
                await reader.readexactly(int(fields.get(b"content-length", b"0")))
        except BaseException:
            writer.close()
            raise
        if fields.get(b"connection", b"").lower() == b"close":
            writer.close()
        else:
            self.idle.append((reader, writer))
        return head.split(b" ", 2)[1].decode()


def percentile(values, share):
    """The value below which so large a share of the values lies; 0 for none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
