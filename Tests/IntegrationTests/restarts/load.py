"""Requests to the proxy while something is restarted behind it."""

import threading

from harness.client import Client, get
from harness.stream import StreamEnded, eventually


class Load:
    """Clients that send a GET and a POST in turn, on kept connections; each POST has a key of its own."""

    def __init__(self, address, clients=3, host="test.example", posting=True):
        self.address = address
        self.posting = posting
        self.host = host
        self.failures = []
        self.keys = []
        self.answered = 0
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, worker):
        client = None
        number = 0
        while not self.is_over.is_set():
            number += 1
            key = f"{self.host.partition('.')[0]}-{worker}-{number}"
            is_post = self.posting and number % 2 == 0
            if not is_post:
                request = get(b"/api/version", host=self.host.encode())
            else:
                fields = [(b"Content-Length", b"%d" % len(key))]
                target = f"/api/echo/{key}".encode()
                request = get(target, fields, self.host.encode(), method=b"POST") + key.encode()
                with self.lock:
                    self.keys.append(key)
            try:
                client = client or self.connect()
                response = client.exchange(request)
                if response.status != 200 or is_post and key.encode() not in response.body:
                    self.failures.append((key, response.status, response.body[:200]))
            except (StreamEnded, AssertionError, OSError) as failure:
                self.failures.append((key, repr(failure)))
                client.close()
                client = None
                continue
            with self.lock:
                self.answered += 1
            if b"close" in response.tokens(b"Connection") or number % 40 == 0:
                client.close()
                client = None
        if client:
            client.close()

    def connect(self):
        client = Client(self.address)
        client.stream.timeout = 40
        return client

    def wait_for(self, more):
        """Returns when so many more have been answered, or one has failed."""
        goal = self.answered + more
        eventually(lambda: self.answered >= goal or self.failures, f"{more} more answers", 30)

    def finish(self):
        """Ends it. Fails if a request has failed."""
        self.is_over.set()
        for thread in self.threads:
            thread.join(45)
            assert not thread.is_alive(), "a client hangs"
        assert not self.failures, self.failures[:5]
