"""Graceful restarts of what the real Gravity starts: real gunicorns under a real supervisor or systemd.

Every row of the table of names has a rehearsal and a whole restart under requests, with preload and without.
"""

import json
import os
from pathlib import Path

import pytest
from restarts.gravity import Site
from restarts.load import Load
from restarts.proxy import RULES, RestartedProxy
from restarts.watching import fates_of, upstreams_of

# The sanitizers see the same code in the other tests of restarts.
pytestmark = [pytest.mark.galaxy_lb, pytest.mark.slow, pytest.mark.timeout(180)]

# gunicorn's sockets, relative to the root of Galaxy.
G0, G1, G2 = (f"unix:database/g{number}.sock" for number in range(3))
FAST = {"start_timeout": 1, "restart_timeout": 60}


def gunicorn(bind, **options):
    return {"bind": bind} | FAST | options


ONE = [{"gunicorn": gunicorn(G0)}]
TWO = [{"gunicorn": [gunicorn(G0), gunicorn(G1)]}]
NO_INSTANCES = [{"use_service_instances": False,
                 "gunicorn": [gunicorn(G0, preload=False), gunicorn(G1, preload=False)]}]
NAMED = [{"instance_name": "main", "gunicorn": [gunicorn(G0, preload=False), gunicorn(G1)]},
         {"instance_name": "test", "gunicorn": gunicorn(G2)}]

ROWS = {
    "one": (ONE, {"_default_/gunicorn": ("database/g0.sock", "gunicorn", "galaxy-gunicorn.service")}),
    "two": (TWO, {
        "_default_/gunicorn0": ("database/g0.sock", "gunicorn:gunicorn_0", "galaxy-gunicorn@0.service"),
        "_default_/gunicorn1": ("database/g1.sock", "gunicorn:gunicorn_1", "galaxy-gunicorn@1.service")}),
    "two without instances": (NO_INSTANCES, {
        "_default_/gunicorn0": ("database/g0.sock", "gunicorn0", "galaxy-gunicorn0.service"),
        "_default_/gunicorn1": ("database/g1.sock", "gunicorn1", "galaxy-gunicorn1.service")}),
    "two named Galaxies": (NAMED, {
        "main/gunicorn0": ("database/g0.sock", "main:gunicorn0", "galaxy-main-gunicorn@0.service"),
        "main/gunicorn1": ("database/g1.sock", "main:gunicorn1", "galaxy-main-gunicorn@1.service"),
        "test/gunicorn": ("database/g2.sock", "test:gunicorn", "galaxy-test-gunicorn.service")}),
}


SITES = [f"{row}, {manager}" for row in ROWS for manager in ("supervisor", "systemd")]


@pytest.fixture(scope="module")
def site(request):
    """Galaxies as Gravity starts them, for all tests of the same ones."""
    row, manager = request.param.split(", ")
    if manager == "systemd" and os.geteuid() != 0:
        pytest.skip("only root can make a mount namespace")
    gravity, upstreams = ROWS[row]
    site = Site(manager, gravity, {name: socket for name, (socket, _, _) in upstreams.items()})
    site.units = {name: units[manager == "systemd"] for name, (_, *units) in upstreams.items()}
    yield site
    site.end()


@pytest.fixture
def proxy(site, proxies, folder):
    """galaxy-lb, which is told where Galaxy's configuration is, and nothing of what restarts it."""
    file = {"galaxy": [str(path) for path in site.files], "restart": RULES, "hold": {"time": "1m"}}
    if len(site.files) > 1:
        file["routes"] = [{"host": f"{pool}.example", "pool": pool} for pool in pools_of(site)]
    return proxies.add(RestartedProxy(Path(folder, "p"), file, site.prefix))


def pools_of(site):
    return sorted({name.partition("/")[0] for name in site.units})


@pytest.mark.parametrize("site", SITES, indirect=True)
def test_a_restart(site, proxy):
    """Each is restarted once, by its own name, from the old version to the new one; users notice nothing."""
    old, before = site.version, site.incarnations()
    rehearsal = proxy.restart(dry_run=True)
    end = rehearsal.finish()
    assert (end["result"], end["exit_status"]) == ("rehearsed", 0), rehearsal.story()
    assert site.incarnations() == before
    new = site.deploy()
    loads = [Load(proxy.address, clients=2, host=f"{pool}.example") for pool in pools_of(site)]
    for load in loads:
        load.wait_for(10)
    watcher = proxy.restart()
    end = watcher.finish()
    for load in loads:
        load.wait_for(10)
        load.finish()
    assert (end["result"], end["exit_status"], end["problems"]) == ("completed", 0, []), watcher.story()
    begun = {f"{pool['pool']}/{upstream['name']}": upstream for pool in watcher.of("begun")[0]["pools"]
             for upstream in pool["upstreams"]}
    assert {name: upstream["unit"] for name, upstream in begun.items()} == site.units
    assert {upstream["manager"] for upstream in begun.values()} == {site.manager}
    for name, upstream in upstreams_of(end["report"]).items():
        assert upstream["fate"] == "restarted", upstream
        assert (upstream["version_before"], upstream["version_after"]) == (old, new), upstream
        assert upstream["failed_requests"] == 0, upstream
        assert site.incarnations()[name] != before[name], name
    assert {upstream["administrative"] for upstream in proxy.control.get("/v1/upstreams")["upstreams"]} == {"ready"}
    assert not list(proxy.state_directory.glob("*.stopped"))
    posted = [key for load in loads for key in load.keys]
    executions = site.executions()
    assert posted and {key: executions.get(key) for key in posted} == dict.fromkeys(posted, 1)
    report = Path(end["report_file"])
    assert json.loads(report.with_suffix(".json").read_text()) == end["report"]
    assert f"version {old} before, {new} after" in report.read_text()


@pytest.mark.parametrize("site", ["two, supervisor"], indirect=True)
def test_code_that_does_not_start(site, proxy):
    """Broken code on disk: noticed at the boot, and the other gunicorn serves the old version on."""
    before = site.incarnations()
    module = site.folder / "lib/galaxy/webapps/galaxy/fast_factory.py"
    good = module.read_text()
    module.write_text("raise SystemError('broken')\n")
    load = Load(proxy.address, clients=2, host="broken.example")
    try:
        watcher = proxy.restart()
        end = watcher.finish()
        load.wait_for(10)
        load.finish()
    finally:
        module.write_text(good)
    assert (end["result"], end["exit_status"]) == ("halted", 1), watcher.story()
    assert fates_of(end["report"]) == ["failed", "untouched"]
    assert "restart time-out" not in upstreams_of(end["report"])["_default_/gunicorn0"]["reason"]
    assert site.incarnations()["_default_/gunicorn1"] == before["_default_/gunicorn1"]


@pytest.fixture
def alone():
    """One gunicorn that loads its code in its workers."""
    gravity = [{"gunicorn": gunicorn(G0, preload=False, workers=2)}]
    site = Site("supervisor", gravity, {"_default_/gunicorn": "database/g0.sock"})
    yield site
    site.end()


def test_a_hup_through_supervisor(alone, proxies, folder):
    """Where requests can't be held for long enough, the workers of the only gunicorn are replaced, not the master."""
    file = {"galaxy": [str(path) for path in alone.files], "restart": RULES, "hold": {"time": "20s"}}
    proxy = proxies.add(RestartedProxy(Path(folder, "p"), file, alone.prefix))
    before, new = alone.incarnations(), alone.deploy()
    load = Load(proxy.address, clients=2)
    load.wait_for(10)
    watcher = proxy.restart()
    end = watcher.finish()
    load.wait_for(10)
    load.finish()
    assert end["result"] == "completed", watcher.story()
    assert "reloads its workers, because" in watcher.of("begun")[0]["pools"][0]["approach"]
    assert fates_of(end["report"]) == ["restarted"] and alone.incarnations() == before
    assert upstreams_of(end["report"])["_default_/gunicorn"]["version_after"] == new
