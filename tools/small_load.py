"""A few requests a second beside what a person does with the demonstration, and what became of them."""

import http.client
import threading
import time
from contextlib import suppress

REQUESTS_A_SECOND = 20
# Longer than requests wait in galaxy-lb for a gunicorn.
ANSWER_SECONDS = 60.0


class SmallLoad:
    """Requests at a rate, each of them counted: reads, and POSTs that have to be carried out exactly once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._requests = 0
        self._failed = 0
        self._repeated = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def stop(self) -> bool:
        """Sends no more, and waits for the answers that are due. False when it was never started."""
        self._stopped.set()
        if self._thread.ident is None:
            return False
        self._thread.join(ANSWER_SECONDS)
        return True

    def summary(self) -> str:
        """What became of the requests so far."""
        with self._lock:
            return (
                f"small load: {self._requests:,} requests, {self._failed} failed, "
                f"{self._repeated} POSTs carried out twice"
            )

    def _run(self) -> None:
        senders: list[threading.Thread] = []
        number = 0
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            number += 1
            # Whatever became of those before, the next one goes out when it is due.
            sender = threading.Thread(target=self._send, args=(number,), daemon=True)
            sender.start()
            senders = [thread for thread in senders if thread.is_alive()] + [sender]
            due += 1 / REQUESTS_A_SECOND
        for sender in senders:
            sender.join(ANSWER_SECONDS)

    def _send(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
        failed, repeated = True, False
        with suppress(OSError, http.client.HTTPException, ValueError):
            if number % 2:
                connection.request("GET", "/api/version")
            else:
                connection.request("POST", f"/api/echo/small-load-{number}", body=b"once")
            response = connection.getresponse()
            response.read()
            failed = response.status != 200
            repeated = int(response.headers.get("X-Executions", 1)) > 1
        connection.close()
        with self._lock:
            self._requests += 1
            self._failed += failed
            self._repeated += repeated
