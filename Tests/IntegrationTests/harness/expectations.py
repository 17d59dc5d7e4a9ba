"""What each proxy is known to do otherwise, in one place, with the reason.

A test in the table of a peer is expected to fail there (`xfail`). An entry names
a test, or some cases of a parametrised test: `test_name` or `test_name[part of
the id`. An entry that comes true in no case is reported and fails the run.
"""

import pytest

NGINX = {
}

HAPROXY = {
}

TABLES = {"galaxy-lb": {}, "nginx": NGINX, "haproxy": HAPROXY}


class Expectations:
    """The entries for one proxy, and which of them came true."""

    def __init__(self, proxy):
        self.table = TABLES[proxy]
        self.seen = set()
        self.held = set()

    def entry(self, name):
        """The entry that the test with this name falls under, or None."""
        function, _, case = name.partition("[")
        for entry in self.table:
            test, _, part = entry.partition("[")
            if function == test and part in case:
                return entry
        return None

    def mark(self, item):
        """Expects the test to fail where the table says so."""
        if entry := self.entry(item.name):
            item.add_marker(pytest.mark.xfail(reason=self.table[entry], strict=False))

    def record(self, name, failed):
        """Takes note of the outcome of a test."""
        if entry := self.entry(name):
            self.seen.add(entry)
            if failed:
                self.held.add(entry)

    def stale(self):
        """The entries that were tried and failed in no case."""
        return sorted(self.seen - self.held)
