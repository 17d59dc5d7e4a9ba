"""Graceful restarts by commands of the configuration: several at once, pools, hooks, and what people do in between."""

from pathlib import Path

import pytest
from harness.client import Client, get
from harness.control import command
from harness.stream import eventually
from restarts.deployment import POOL, Commanded
from restarts.load import Load
from restarts.phases import Held
from restarts.watching import fates_of, upstreams_of

pytestmark = [pytest.mark.galaxy_lb, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def commanded():
    deployment = Commanded(4)
    yield deployment
    deployment.end()


@pytest.fixture
def deployment(commanded):
    """Four services that run and behave."""
    commanded.reset()
    return commanded


def described(deployment, numbers, service="default", **pool):
    """A pool of services that no Galaxy describes."""
    upstreams = [{"name": f"gunicorn{number}", "address": f"unix:{deployment.socket(number)}"} for number in numbers]
    if service:
        pool["service"] = deployment.service
    return {"upstreams": upstreams, "health": {"path": "/api/version"}} | pool


def test_a_whole_restart(deployment, proxies):
    """The command is told what it is for; what it prints is in the report."""
    proxy = proxies(deployment, count=2)
    before, new = deployment.pids(), deployment.deploy()
    watcher = proxy.restart()
    end = watcher.finish()
    assert end["result"] == "completed", watcher.story()
    assert [deployment.answered(number) for number in (0, 1)] == [new, new]
    assert deployment.pids()[2:] == before[2:] and not set(deployment.pids()[:2]) & set(before[:2])
    for number in (0, 1):
        lines = (deployment.folder / f"g{number}.environment").read_text().splitlines()
        told = dict(line.split("=", 1) for line in lines if line.startswith("GALAXY_LB_"))
        assert told == {
            "GALAXY_LB_ACTION": "restart", "GALAXY_LB_POOL": POOL, "GALAXY_LB_UPSTREAM": f"gunicorn{number}",
            "GALAXY_LB_UNIT": f"gunicorn{number}", "GALAXY_LB_ADDRESS": f"unix:{deployment.socket(number)}"}
        report = upstreams_of(end["report"])[f"{POOL}/gunicorn{number}"]
        assert report["output"] == f"restart of gunicorn{number}\n" and report["manager"] == "command"


def test_a_command_that_fails(deployment, proxies):
    proxy = proxies(deployment, count=2)
    before = deployment.pids()
    (deployment.folder / "g0.command").write_text("echo no space left; exit 7\n")
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("halted", 1), end
    assert fates_of(end["report"]) == ["failed", "untouched"]
    failed = upstreams_of(end["report"])[f"{POOL}/gunicorn0"]
    assert "could not be restarted" in failed["reason"] and "7" in failed["reason"], failed
    assert "no space left" in failed["output"]
    assert proxy.standings() == ["maintenance", "ready"] and deployment.pids() == before


def test_a_command_that_takes_too_long(deployment, proxies):
    """It is ended, with what it has started."""
    proxy = proxies(deployment, count=2, rules={"timeout": "1s"})
    (deployment.folder / "g0.command").write_text("echo $$ > g0.shell; sleep 1000\n")
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("halted", 1), end
    assert fates_of(end["report"]) == ["failed", "untouched"]
    group = int((deployment.folder / "g0.shell").read_text())
    eventually(lambda: not members(group), "the command and its sleep have ended", 20)


def members(group):
    """The processes of a process group that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def most_under_way(watcher):
    """How many upstreams were under way at the same time, at most."""
    under_way, most = set(), 0
    for line in watcher.of("phase"):
        if line["phase"] in ("completed", "failed", "waiting"):
            under_way.discard(line["upstream"])
        else:
            under_way.add(line["upstream"])
        most = max(most, len(under_way))
    return most


@pytest.mark.parametrize("asked, configured, expected", [(2, 1, 2), ("50%", 1, 2), (None, 3, 3), (1, 3, 1)])
def test_several_at_a_time(deployment, proxies, asked, configured, expected):
    proxy = proxies(deployment, rules={"max_unavailable": configured})
    new = deployment.deploy()
    load = Load(proxy.address)
    watcher = proxy.restart(**({"max_unavailable": asked} if asked else {}))
    end = watcher.finish()
    load.finish()
    assert end["result"] == "completed", watcher.story()
    assert [deployment.answered(number) for number in range(4)] == [new] * 4
    assert most_under_way(watcher) == expected, watcher.story()


def test_some_of_them(deployment, proxies):
    """In the order in which they are named."""
    proxy = proxies(deployment)
    before = deployment.pids()
    watcher = proxy.restart(only=[f"{POOL}/gunicorn3", f"{POOL}/gunicorn1"])
    end = watcher.finish()
    assert end["result"] == "completed", watcher.story()
    assert list(upstreams_of(end["report"])) == [f"{POOL}/gunicorn3", f"{POOL}/gunicorn1"]
    assert [old == new for old, new in zip(before, deployment.pids())] == [True, False, True, False]


@pytest.mark.parametrize("options, status, message", [
    ({"only": [f"{POOL}/gunicorn9"]}, 404, "no upstream 'gunicorn9' in pool 'main' (did you mean"),
    ({"only": ["mian/gunicorn0"]}, 404, "no pool 'mian' (did you mean 'main'?)"),
    ({"only": ["gunicorn0"]}, 400, "expected POOL/UPSTREAM"),
    ({"max_unavailable": "200%"}, 400, "max_unavailable"),
    ({"max_unavialable": 2}, 400, "max_unavialable"),
    ({"dry_run": "yes"}, 400, "dry_run"),
])
def test_bad_requests(deployment, proxies, options, status, message):
    """Nothing is begun."""
    proxy = proxies(deployment)
    watcher = proxy.restart(expect=status, **options)
    assert message in watcher.refusal
    assert proxy.control.get("/v1/restart") == {"state": "idle", "last": None}


def test_what_is_down_is_brought_up_first(deployment, proxies):
    proxy = proxies(deployment, count=3)
    deployment.stop(2)
    before = deployment.pids()
    refused = proxy.restarted()
    assert (refused["result"], refused["exit_status"]) == ("refused", 4)
    assert any("gunicorn2 does not answer" in problem for problem in refused["problems"]), refused
    assert deployment.pids()[:2] == before[:2]
    new = deployment.deploy()
    watcher = proxy.restart(start_if_stopped=True)
    assert watcher.finish()["result"] == "completed", watcher.story()
    begun = [line["upstream"] for line in watcher.of("phase", phase="restarting")]
    assert begun == ["gunicorn2", "gunicorn0", "gunicorn1"]
    assert [deployment.answered(number) for number in range(3)] == [new] * 3


def test_what_is_down_is_started_by_its_own_command(deployment, proxies):
    """What runs is restarted, whether it answers well or not."""
    service = deployment.service | {"start": [str(deployment.script), "start"]}
    rules = {"ready": {"successes": 2, "interval": "50ms", "timeout": "1s"}}
    proxy = proxies(deployment, count=3, pool={"service": service}, rules=rules)
    deployment.stop(2)
    deployment.knob(1, "mute").touch()
    deployment.stop(1)
    deployment.start(1)
    eventually(deployment.socket(1).exists, "it listens", 20)
    deployment.knob(1, "mute").unlink()
    end = proxy.restarted(start_if_stopped=True)
    assert end["result"] == "completed", end
    outputs = {name: upstream["output"].split()[0] for name, upstream in upstreams_of(end["report"]).items()}
    assert outputs == {f"{POOL}/gunicorn0": "restart", f"{POOL}/gunicorn1": "restart", f"{POOL}/gunicorn2": "start"}


# Several pools.


ROUTES = [{"path": f"/{pool}", "pool": pool} for pool in ("a", "b", "c")] + [{"path": "/", "pool": "a"}]


def pools_of(deployment, **pools):
    return {"galaxy": [], "pools": pools, "routes": [route for route in ROUTES if route["pool"] in pools]}


def test_two_pools_in_one_run(deployment, proxies):
    """Everything is looked at first; a pool that nothing restarts is left alone."""
    file = pools_of(deployment, a=described(deployment, (0, 1)), b=described(deployment, (2,), hold={"time": "30s"}),
                    c=described(deployment, (3,), service=None))
    proxy = proxies(deployment, file=file)
    before, new = deployment.pids(), deployment.deploy()
    watcher = proxy.restart()
    end = watcher.finish()
    assert end["result"] == "completed" and "all 3 upstreams" in end["message"], watcher.story()
    assert [pool["pool"] for pool in watcher.of("begun")[0]["pools"]] == ["a", "b"]
    events = [line["event"] for line in watcher.lines if line["event"] in ("preflight", "phase")]
    assert events[:3] == ["preflight"] * 3 and "preflight" not in events[3:]
    completed = [(line["pool"], line["upstream"]) for line in watcher.of("phase", phase="completed")]
    assert completed == [("a", "gunicorn0"), ("a", "gunicorn1"), ("b", "gunicorn2")]
    assert [deployment.answered(number) for number in range(3)] == [new] * 3
    assert deployment.pid(3) == before[3]


def test_a_problem_in_one_pool_stops_all(deployment, proxies):
    file = pools_of(deployment, a=described(deployment, (0, 1)), b=described(deployment, (2, 3)))
    proxy = proxies(deployment, file=file)
    deployment.stop(3)
    before = deployment.pids()
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("refused", 4)
    (problem,) = end["problems"]
    assert problem.startswith("b/gunicorn3 ")
    assert deployment.pids() == before


def test_a_halt_in_one_pool_stops_all(deployment, proxies):
    file = pools_of(deployment, a=described(deployment, (0, 1)), b=described(deployment, (2, 3)))
    proxy = proxies(deployment, file=file)
    before = deployment.pids()
    (deployment.folder / "g1.command").write_text("exit 1\n")
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("halted", 1)
    assert fates_of(end["report"])[:2] == ["restarted", "failed"]
    assert deployment.pids()[2:] == before[2:] and proxy.standings("b") == ["ready", "ready"]


def test_a_pool_that_nothing_restarts(deployment, proxies):
    file = pools_of(deployment, a=described(deployment, (0, 1), service=None))
    proxy = proxies(deployment, file=file)
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("refused", 4)
    assert all("the configuration names no service for it" in problem for problem in end["problems"]), end
    assert len(end["problems"]) == 2


def test_one_of_a_pool_that_nothing_restarts(deployment, proxies):
    file = pools_of(deployment, a=described(deployment, (0, 1)), c=described(deployment, (3,), service=None))
    proxy = proxies(deployment, file=file)
    end = proxy.restarted(only=["c/gunicorn3"])
    assert (end["result"], end["exit_status"]) == ("refused", 4)
    assert [pool["pool"] for pool in end["report"]["pools"]] == ["c"]


def test_the_only_upstream(deployment, proxies):
    """Requests that come meanwhile wait in the proxy, and none fails."""
    file = pools_of(deployment, a=described(deployment, (0,), hold={"time": "40s"}))
    proxy = proxies(deployment, file=file)
    new = deployment.deploy()
    load = Load(proxy.address)
    load.wait_for(20)
    deployment.knob(0, "hold-boot").touch()
    watcher = proxy.restart()
    assert "requests wait in the proxy" in watcher.until("begun")["pools"][0]["approach"]
    watcher.until("phase", phase="awaiting_readiness")
    eventually(lambda: proxy.control.get("/v1/status")["pools"][0]["hold"]["waiting"] == 3, "all clients wait")
    deployment.knob(0, "hold-boot").unlink()
    end = watcher.finish()
    load.wait_for(20)
    load.finish()
    assert end["result"] == "completed", watcher.story()
    assert end["report"]["downtime"] > 0 and end["report"]["longest_hold"] > 0
    upstream = upstreams_of(end["report"])["a/gunicorn0"]
    assert upstream["version_after"] == new and upstream["failed_requests"] == 0


def test_the_only_upstream_with_broken_code(deployment, proxies):
    """It is not kept out, as there is nothing else: those who wait are told so, and it serves when it is back."""
    file = pools_of(deployment, a=described(deployment, (0,), hold={"time": "1s"}))
    proxy = proxies(deployment, file=file)
    (deployment.folder / "g0.command").write_text('kill $(cat g0.pid); rm -f g0.sock; exit 1\n')
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("halted", 1)
    assert proxy.standings("a") == ["ready"]
    # A request may be the one that tries it.
    eventually(lambda: status(proxy) in (502, 503), "they are told so", 20)
    deployment.reset()
    eventually(lambda: status(proxy) == 200, "it serves", 20)


def status(proxy):
    """That of the answer to a GET."""
    client = Client(proxy.address)
    try:
        return client.exchange(get(b"/", [(b"Connection", b"close")])).status
    finally:
        client.close()


# Hooks.


def hook(folder, name, then="true"):
    return f"env | grep ^GALAXY_LB_ | sort > {folder}/{name}.hook; echo said by {name}; {then}"


def told(folder, name):
    """What a hook was told; None if it did not run."""
    path = Path(folder, f"{name}.hook")
    return dict(line.split("=", 1) for line in path.read_text().splitlines()) if path.exists() else None


def hooks(folder, **then):
    return {"hooks": {name: hook(folder, name, then.get(name, "true")) for name in ("before", "after", "on_halt")}}


def test_hooks(deployment, proxies, folder):
    """Before the first and after the last upstream, once each."""
    proxy = proxies(deployment, count=2, rules=hooks(folder))
    watcher = proxy.restart()
    end = watcher.finish()
    assert (end["result"], end["exit_status"]) == ("completed", 0), watcher.story()
    order = [line.get("hook") or line["phase"] for line in watcher.lines if line["event"] in ("hook", "phase")]
    assert order[0] == "before" and order[-1] == "after" and order.count("completed") == 2
    assert told(folder, "before") == {"GALAXY_LB_HOOK": "before", "GALAXY_LB_POOLS": POOL}
    assert told(folder, "after") == {"GALAXY_LB_HOOK": "after", "GALAXY_LB_POOLS": POOL}
    assert told(folder, "on_halt") is None
    assert [(hook["hook"], hook["ok"], hook["output"]) for hook in end["report"]["hooks"]] == [
        ("before", True, "said by before\n"), ("after", True, "said by after\n")]


def test_no_hook_of_a_dry_run(deployment, proxies, folder):
    proxy = proxies(deployment, count=2, rules=hooks(folder))
    assert proxy.restarted(dry_run=True)["exit_status"] == 0
    assert told(folder, "before") is None and told(folder, "after") is None


def test_a_hook_before_that_fails(deployment, proxies, folder):
    proxy = proxies(deployment, count=2, rules=hooks(folder, before="exit 3"))
    before = deployment.pids()
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("refused", 4), end
    assert "the hook before the restart failed" in end["message"] and "status 3" in end["problems"][0]
    assert deployment.pids() == before and told(folder, "on_halt") is None and told(folder, "after") is None


def test_a_hook_after_that_fails(deployment, proxies, folder):
    """All is restarted, but not all is done."""
    proxy = proxies(deployment, count=2, rules=hooks(folder, after="exit 3"))
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("completed", 1), end
    assert fates_of(end["report"]) == ["restarted", "restarted"] and "status 3" in end["message"]


@pytest.mark.parametrize("then", ["true", "exit 3"])
def test_a_hook_on_halt(deployment, proxies, folder, then):
    proxy = proxies(deployment, count=2, rules=hooks(folder, on_halt=then))
    (deployment.folder / "g0.command").write_text("exit 7\n")
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("halted", 1), end
    reason = told(folder, "on_halt")
    assert reason["GALAXY_LB_HOOK"] == "on_halt" and "gunicorn0" in reason["GALAXY_LB_REASON"]
    assert told(folder, "after") is None
    assert [hook["ok"] for hook in end["report"]["hooks"]] == [True, then == "true"]


def test_a_hook_that_takes_too_long(deployment, proxies, folder):
    rules = hooks(folder, before="exec sleep 1000")
    rules["hooks"]["timeout"] = "1s"
    end = proxies(deployment, count=2, rules=rules).restarted()
    assert (end["result"], end["exit_status"]) == ("refused", 4), end
    assert "took too long" in end["problems"][0]


def test_an_abort_while_a_hook_runs(deployment, proxies, folder):
    """The hook is ended, and nothing is touched."""
    proxy = proxies(deployment, count=2, rules=hooks(folder, before="exec sleep 1000"))
    before = deployment.pids()
    watcher = proxy.restart()
    eventually(lambda: told(folder, "before"), "the hook runs")
    proxy.abort()
    end = watcher.finish()
    assert (end["result"], end["exit_status"]) == ("aborted", 5), watcher.story()
    assert deployment.pids() == before and proxy.standings() == ["ready", "ready"]


# What people do in between.


def test_a_reload_of_the_same_configuration(deployment, proxies):
    proxy = proxies(deployment, count=2)
    held = Held("draining", deployment, proxy)
    proxy.reload()
    held.release()
    end = held.watcher.finish()
    held.close()
    assert end["result"] == "completed", held.watcher.story()


def test_an_upstream_is_removed_before_its_turn(deployment, proxies):
    """What was begun ends well; the one that is no longer there is not restarted."""
    pool = described(deployment, (0, 1, 2))
    proxy = proxies(deployment, file={"galaxy": [], "pools": {POOL: pool}})
    before = deployment.pids()
    held = Held("awaiting_readiness", deployment, proxy)
    proxy.reload(pools={POOL: described(deployment, (0, 1))})
    held.release()
    end = held.watcher.finish()
    held.close()
    assert (end["result"], end["exit_status"]) == ("halted", 1), held.watcher.story()
    assert deployment.pid(2) == before[2]
    assert "draining" not in proxy.standings()
    eventually(lambda: deployment.answered(0), "it runs", 30)
    assert proxy.restarted(start_if_stopped=True)["result"] == "completed"
    assert proxy.standings() == ["ready", "ready"]


def test_an_upstream_is_drained_before_its_turn(deployment, proxies):
    """It stays as people want it."""
    proxy = proxies(deployment, count=3)
    before = deployment.pids()
    held = Held("awaiting_readiness", deployment, proxy)
    proxy.control.post(f"/v1/upstreams/{POOL}/gunicorn2/drain")
    held.release()
    end = held.watcher.finish()
    held.close()
    assert (end["result"], end["exit_status"]) == ("halted", 1), held.watcher.story()
    assert fates_of(end["report"]) == ["restarted", "restarted", "failed"]
    assert proxy.standings() == ["ready", "ready", "draining"] and deployment.pid(2) == before[2]
    assert "somebody else" in upstreams_of(end["report"])[f"{POOL}/gunicorn2"]["reason"]


def test_a_drain_is_undone_by_somebody(deployment, proxies):
    """It is theirs now, and serves."""
    proxy = proxies(deployment, count=2)
    before = deployment.pids()
    held = Held("draining", deployment, proxy)
    proxy.control.post(f"/v1/upstreams/{POOL}/gunicorn0/ready")
    end = held.watcher.finish()
    held.release()
    assert held.answers() == [200, 200]
    held.close()
    assert (end["result"], end["exit_status"]) == ("halted", 1), held.watcher.story()
    assert fates_of(end["report"]) == ["failed", "untouched"] and deployment.pids() == before
    assert proxy.standings() == ["ready", "ready"]


def test_capacity_is_lost(deployment, proxies):
    """The drain is undone as nobody else would be left, and the restart gives up when that lasts."""
    proxy = proxies(deployment, count=2, rules={"capacity_wait": "1s"})
    before = deployment.pids()
    held = Held("draining", deployment, proxy)
    proxy.control.post(f"/v1/upstreams/{POOL}/gunicorn1/maintenance")
    end = held.watcher.finish()
    held.release()
    assert held.answers() == [200, 200]
    held.close()
    assert (end["result"], end["exit_status"]) == ("halted", 1), held.watcher.story()
    assert proxy.standings() == ["ready", "maintenance"] and deployment.pids() == before
    assert upstreams_of(end["report"])[f"{POOL}/gunicorn0"]["drains_undone"] == 1


def test_what_people_withdrew_before(deployment, proxies):
    proxy = proxies(deployment, count=3)
    proxy.control.post(f"/v1/upstreams/{POOL}/gunicorn1/maintenance")
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("refused", 4)
    assert "drained or in maintenance" in end["problems"][0]
    end = proxy.restarted(only=[f"{POOL}/gunicorn0", f"{POOL}/gunicorn2"])
    assert end["result"] == "completed", end
    assert proxy.standings() == ["ready", "maintenance", "ready"]


def test_a_restart_by_somebody_else(deployment, proxies):
    """One whose turn is still to come is restarted all the same: who knows what the other one started."""
    proxy = proxies(deployment, count=2)
    held = Held("awaiting_readiness", deployment, proxy)
    deployment.stop(1)
    deployment.start(1)
    eventually(lambda: deployment.answered(1), "it answers", 30)
    other = deployment.pid(1)
    held.release()
    end = held.watcher.finish()
    held.close()
    assert end["result"] == "completed", held.watcher.story()
    assert deployment.pid(1) != other


# The command line.


def test_exit_statuses_of_the_command(deployment, proxies):
    """0 completed, 1 halted, 2 usage, 3 no proxy, 4 refused, 5 aborted."""
    proxy = proxies(deployment, count=2)
    done = proxy.control.command("--graceful")
    assert done.returncode == 0, done.stdout + done.stderr
    rehearsed = proxy.control.command("--graceful", "--dry-run")
    assert rehearsed.returncode == 0, rehearsed.stdout + rehearsed.stderr
    (deployment.folder / "g0.command").write_text("exit 7\n")
    halted = proxy.control.command("--graceful")
    assert halted.returncode == 1 and "gunicorn0" in halted.stdout + halted.stderr, halted
    refused = proxy.control.command("--graceful")
    assert refused.returncode == 4 and "--start-if-stopped" in refused.stdout + refused.stderr, refused
    assert proxy.control.command("--graceful", "--only", "nowhere").returncode == 2
    assert command("--control", "/nonexistent/control.sock", "--graceful").returncode == 3


def test_the_command_attaches_and_tells_of_an_abort(deployment, proxies):
    proxy = proxies(deployment, count=2)
    held = Held("draining", deployment, proxy)
    aborted = proxy.control.command("--abort")
    assert aborted.returncode == 0, aborted.stderr
    held.release()
    assert held.watcher.finish()["exit_status"] == 5
    held.close()
    assert proxy.control.command("--abort").returncode == 1
