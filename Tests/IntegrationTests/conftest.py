"""Fixtures: which proxy is tested, over which kind of upstream socket, and what is checked after."""

import os
import shutil
import tempfile

import pytest

from harness.balanced import BalancedStarter
from harness.expectations import Expectations
from harness.proxies import PROXIES, Setup
from harness.upstream import Upstream
from harness.wire import Starter, Wire, upstream_address
from restarts.proxy import Proxies


def pytest_addoption(parser):
    parser.addoption("--proxy", choices=sorted(PROXIES), default="galaxy-lb",
                     help="the proxy to test (default: galaxy-lb, the binary named by GALAXY_LB)")
    parser.addoption("--seed", type=int, default=None,
                     help="the seed of the random tests, to repeat a run")


EXPECTATIONS = pytest.StashKey[Expectations]()


def pytest_configure(config):
    config.stash[EXPECTATIONS] = Expectations(config.getoption("--proxy"))


def pytest_collection_modifyitems(config, items):
    is_peer = config.getoption("--proxy") != "galaxy-lb"
    for item in items:
        if is_peer and item.get_closest_marker("galaxy_lb"):
            item.add_marker(pytest.mark.skip(reason="about galaxy-lb alone"))
        config.stash[EXPECTATIONS].mark(item)


class Outcomes:
    """Reports the entries of the expectations table that no longer hold."""

    def __init__(self, config):
        self.config = config
        self.expectations = config.stash[EXPECTATIONS]

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            self.expectations.record(report.nodeid.partition("::")[2], not report.passed)

    def stale(self):
        """Entries that came true in no case, unless only some cases were asked for."""
        chosen = self.config.option.keyword or any("::" in path for path in self.config.args)
        return [] if chosen else self.expectations.stale()

    def pytest_sessionfinish(self, session):
        if self.stale() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        for entry in self.stale():
            terminalreporter.write_line(f"expectations: {entry} did not fail in any case", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Outcomes(session.config), "expectations")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Judges what the proxy did as a part of the test, so that it can be expected to fail."""
    result = yield
    for name in ("wire", "start", "proxies"):
        if name in pyfuncitem.funcargs:
            pyfuncitem.funcargs[name].finish()
    return result


@pytest.fixture(scope="session")
def proxy_kind(pytestconfig):
    return PROXIES[pytestconfig.getoption("--proxy")]


@pytest.fixture
def folder():
    """A folder with a path short enough for unix sockets."""
    path = tempfile.mkdtemp(prefix="wire-")
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module", params=["unix", "tcp"])
def kind(request):
    """The kind of socket that the upstreams listen on."""
    return request.param


@pytest.fixture(scope="module")
def module_wire(proxy_kind, kind):
    """A proxy with default settings that the tests of a module share."""
    path = tempfile.mkdtemp(prefix="wire-")
    upstream = Upstream(upstream_address(kind, path, "upstream"))
    try:
        proxy = proxy_kind(Setup([upstream.address]), path)
        try:
            yield Wire(proxy, upstream)
            upstream.stop()
            proxy.check_clean()
            proxy.stop()
        except BaseException:
            proxy.program.kill()
            raise
    finally:
        upstream.close_listener()
        shutil.rmtree(path)


@pytest.fixture
def wire(module_wire):
    """The shared proxy and its upstream, with nothing left of the test before."""
    module_wire.upstream.clear()
    yield module_wire
    module_wire.abandon()


@pytest.fixture
def start(proxy_kind, kind, folder):
    """Starts proxies with settings of the test's own; each is checked and stopped after it."""
    starter = Starter(proxy_kind, kind, folder)
    yield starter
    starter.abandon()


@pytest.fixture
def start_balanced(proxy_kind, kind, folder):
    """As `start`, with the settings of pools that the other proxies don't have."""
    starter = BalancedStarter(proxy_kind, kind, folder)
    yield starter
    starter.abandon()


@pytest.fixture
def proxies(folder):
    """Starts galaxy-lb in front of services that it restarts; each is checked and stopped after the test."""
    proxies = Proxies(folder)
    yield proxies
    proxies.abandon()


@pytest.fixture
def seed(pytestconfig):
    """The seed of a random test; printed, so that a failure can be repeated."""
    value = pytestconfig.getoption("--seed")
    if value is None:
        value = int.from_bytes(os.urandom(4), "big")
    print(f"seed {value}: repeat with --seed={value}")
    return value
