"""Clients that hold a connection for long: event streams and WebSockets, as a browser does it, and one upload."""

import asyncio
import base64
import collections
import hashlib
import json
import os
import socket
import time

# A browser waits so long before it opens an event stream again.
RETRY_SECONDS = 1.0
CONNECT_SECONDS = 30.0
UPLOAD_PIECE = os.urandom(1 << 20)


class EventStream:
    """Opens the stream again whenever it ends, as EventSource does."""

    def __init__(self, port):
        self.port = port
        # What became of each attempt: "at a boundary", "in the middle of an event", "refused: STATUS", ...
        self.ends = collections.Counter()
        self.events = 0
        self.pending = b""

    async def run(self):
        """Runs until it is cancelled."""
        while True:
            try:
                self.ends[await self.stream()] += 1
            except (OSError, TimeoutError) as error:
                self.ends[f"no connection: {type(error).__name__}"] += 1
            await asyncio.sleep(RETRY_SECONDS)

    async def stream(self):
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(
                f"GET /benchmark/events HTTP/1.1\r\nHost: galaxy.example\r\nAccept: text/event-stream\r\n"
                f"Last-Event-ID: {self.events}\r\n\r\n".encode())
        try:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return "no answer"
            if head[9:12] != b"200":
                return f"refused: {head[9:12].decode()}"
            self.pending = b""
            await self.read(reader, is_chunked=b"transfer-encoding: chunked" in head.lower())
            return "in the middle of an event" if self.pending else "at a boundary"
        finally:
            writer.close()

    async def read(self, reader, is_chunked):
        """Returns when the stream has ended, however; what has come of an event that isn't whole is pending."""
        try:
            while True:
                if is_chunked:
                    size = int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16)
                    piece = (await reader.readexactly(size + 2))[:-2]
                else:
                    piece = await reader.read(65536)
                if not piece:
                    return
                *whole, self.pending = (self.pending + piece).split(b"\n\n")
                self.events += len(whole)
        except asyncio.IncompleteReadError as error:
            self.pending += error.partial
        except ConnectionError:
            return


class WebSocket:
    """Sends a message now and then, reads its echo, and opens a new one when the old one has ended (RFC 6455)."""

    def __init__(self, port, interval=0.5):
        self.port = port
        self.interval = interval
        # How each one ended: "Close 1001", "without a Close frame", "refused: STATUS", ...
        self.ends = collections.Counter()
        self.messages = 0

    async def run(self):
        """Runs until it is cancelled."""
        while True:
            try:
                self.ends[await self.session()] += 1
            except (OSError, TimeoutError) as error:
                self.ends[f"no connection: {type(error).__name__}"] += 1
            await asyncio.sleep(RETRY_SECONDS)

    async def session(self):
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            key = base64.b64encode(os.urandom(16)).decode()
            writer.write(
                f"GET /api/websocket HTTP/1.1\r\nHost: galaxy.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        talking = None
        try:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return "no answer"
            if head[9:12] != b"101":
                return f"refused: {head[9:12].decode()}"
            talking = asyncio.create_task(self.talk(writer))
            return await self.listen(reader, writer)
        finally:
            if talking:
                talking.cancel()
            writer.close()

    async def talk(self, writer):
        while not writer.is_closing():
            writer.write(frame(0x1, b"message"))
            await asyncio.sleep(self.interval)

    async def listen(self, reader, writer):
        """Returns how it ended."""
        try:
            while True:
                first, second = await reader.readexactly(2)
                length = second & 0x7F
                if length == 126:
                    length = int.from_bytes(await reader.readexactly(2))
                payload = await reader.readexactly(length)
                if first & 0x0F == 0x8:
                    writer.write(frame(0x8, payload[:2]))
                    return f"Close {int.from_bytes(payload[:2])}"
                if first & 0x0F == 0x9:
                    writer.write(frame(0xA, payload))
                self.messages += first & 0x0F == 0x1
        except (asyncio.IncompleteReadError, ConnectionError):
            return "without a Close frame"


def frame(opcode, payload):
    """A masked frame of a client, shorter than 126 bytes."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked


def upload(port, size, seconds):
    """Sends so many bytes, spread over the seconds. Returns "ok", or what went wrong. Blocks."""
    count = size // len(UPLOAD_PIECE)
    try:
        with socket.create_connection(("127.0.0.1", port), CONNECT_SECONDS) as connection:
            connection.settimeout(120)
            connection.sendall(
                f"PUT /api/upload HTTP/1.1\r\nHost: galaxy.example\r\nConnection: close\r\n"
                f"Content-Length: {count * len(UPLOAD_PIECE)}\r\n\r\n".encode())
            start = time.monotonic()
            digest = hashlib.sha256()
            for number in range(count):
                time.sleep(max(0.0, start + seconds * number / count - time.monotonic()))
                connection.sendall(UPLOAD_PIECE)
                digest.update(UPLOAD_PIECE)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
    except OSError as error:
        return type(error).__name__
    head, _, body = answer.partition(b"\r\n\r\n")
    if head[9:12] != b"200":
        return head[9:12].decode() or "no answer"
    try:
        is_whole = json.loads(body[body.find(b"{") : body.rfind(b"}") + 1])["sha256"] == digest.hexdigest()
    except ValueError:
        is_whole = False
    return "ok" if is_whole else "wrong content"
