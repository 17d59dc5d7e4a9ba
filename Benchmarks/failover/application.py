"""What the gunicorns of the failover scenarios run: it writes down each POST that it executes."""

import os
import time

# A Galaxy takes its time to boot; without preload its socket accepts long before it answers.
time.sleep(float(os.environ.get("BOOT_SECONDS", "0")))
EXECUTED = os.open(os.environ["EXECUTED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    while (await receive()).get("more_body", False):
        pass
    if scope["method"] == "POST":
        os.write(EXECUTED, scope["path"].encode() + b"\n")
    body = b'{"version_major": "26.1", "version_minor": "2"}'
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
