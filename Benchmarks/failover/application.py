"""What the gunicorns of the failover scenarios run: it writes down which requests it begins and ends."""

import asyncio
import os
import time

# A Galaxy takes its time to boot; without preload its socket accepts long before it answers.
time.sleep(float(os.environ.get("BOOT_SECONDS", "0")))
JOURNAL = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
# How long a request is being executed.
WORK_SECONDS = float(os.environ.get("WORK_SECONDS", "0"))


def note(what, path):
    os.write(JOURNAL, f"{what} {path}\n".encode())


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    note("begun", scope["path"])
    while (await receive()).get("more_body", False):
        pass
    if WORK_SECONDS:
        await asyncio.sleep(WORK_SECONDS)
    body = b'{"version_major": "26.1", "version_minor": "2"}'
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
    note("ended", scope["path"])
