"""Clients that send all the time, while something happens behind the proxy."""

import threading

from .client import get, post
from .stream import StreamEnded, eventually


class Load:
    """Clients that send GETs and POSTs in turn, each POST with a number of its own."""

    def __init__(self, wire, clients=4, posting=True):
        self.wire = wire
        self.posting = posting
        self.stop = threading.Event()
        self.failures = []
        self.posts = []
        self.answered = 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def wanted(self, target, body):
        """How the answer to a request must begin."""
        return target + b"|" + body

    def run(self, worker):
        client = self.wire.client()
        number = 0
        while not self.stop.is_set():
            number += 1
            target = b"/load-%d-%d" % (worker, number)
            try:
                if number % 2 or not self.posting:
                    response = client.exchange(get(target))
                    wanted = self.wanted(target, b"")
                else:
                    with self.lock:
                        self.posts.append(target)
                    response = client.exchange(post(b"payload", target))
                    wanted = self.wanted(target, b"payload")
                if response.status != 200 or not response.body.startswith(wanted):
                    self.failures.append((target, response.status, response.body[:200]))
            except (StreamEnded, AssertionError) as failure:
                self.failures.append((target, repr(failure)))
                client = self.wire.client()
                continue
            with self.lock:
                self.answered += 1
            if b"close" in response.tokens(b"Connection") or number % 50 == 0:
                client.close()
                client = self.wire.client()

    def wait_for(self, more):
        """Waits until so many more requests have been answered."""
        goal = self.answered + more
        eventually(lambda: self.answered >= goal or self.failures, f"{more} more answers", 30)

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive(), "a client hangs"
