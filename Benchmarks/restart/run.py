#!/usr/bin/env python3
"""What users notice of a deploy: the same load through galaxy-lb, nginx and HAProxy while both gunicorns are restarted.

Real gunicorns under the real Gravity and supervisor; requests at a rate whatever becomes of those before, slow ones and
streamed ones among them, event streams, WebSockets, and one large upload after the other. Prints a table and, with
--json FILE, everything that was counted. With --broken-deploy the code that is deployed raises when it is imported.
"""

import argparse
import asyncio
import collections
import json
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[1:1] = [str(HERE.parent / "common"), str(HERE.parent.parent / "tools")]

from arrangements import ARRANGEMENTS, version_through  # noqa: E402
from galaxy import Galaxy  # noqa: E402
from load import percentile  # noqa: E402
from processes import adopt_orphans, end_descendants  # noqa: E402
from stand_in import Failure  # noqa: E402
from traffic import Traffic  # noqa: E402

WARM_UP_SECONDS = 3.0
SETTLE_SECONDS = 5.0
END_SECONDS = 10.0


async def measure(arrangement, galaxy, options, broken=False):
    """The whole run of one arrangement: quiet phases and restarts in turn, under one load."""
    traffic = Traffic(arrangement.port, options.rate, options.upload_size << 20, options.upload_seconds)
    restarts = []
    quiet_seconds = options.quiet
    await traffic.start()
    await asyncio.sleep(WARM_UP_SECONDS)
    for number in range(1, options.restarts + 1):
        quiet = time.monotonic()
        await asyncio.sleep(quiet_seconds)
        if broken:
            galaxy.deploy_broken(number, options.broken_after)
        else:
            galaxy.deploy(number)
        begun, begun_clock = time.monotonic(), time.time()
        status, output = await asyncio.to_thread(arrangement.restart, galaxy)
        ended = time.monotonic()
        restarts.append({
            "quiet": quiet, "begun": begun, "begun_clock": begun_clock, "ended": ended, "exit_status": status,
            "output": output[-4000:]})
        quiet_seconds = max(options.quiet, ended - begun)
        await asyncio.sleep(SETTLE_SECONDS)
        if status != 0 and not broken:
            break
    state = await asyncio.to_thread(versions, arrangement, galaxy) if broken else None
    share = await traffic.stop()
    return traffic, restarts, share, state


def versions(arrangement, galaxy):
    """What each gunicorn and the proxy answer after a broken deploy."""
    through = collections.Counter(str(version_through(arrangement.port)) for _ in range(20))
    return {"gunicorns": [galaxy.version(path) for path in galaxy.sockets], "through_the_proxy": dict(through)}


def summarise(traffic, restarts, share, executed):
    """The numbers of one arrangement."""
    failed = [it for it in traffic.requests if it.outcome != "200"]
    failures = collections.Counter(f"{it.kind} {it.method}: {it.outcome}" for it in failed)
    times_executed = collections.Counter(executed)
    posts = [it for it in traffic.requests if it.method == "POST" and it.kind != "streamed"]
    quiet, during = [], []
    for restart in restarts:
        fast = [it for it in traffic.requests if it.kind == "fast" and it.outcome == "200"]
        quiet += [it.seconds for it in fast if restart["quiet"] <= it.due < restart["begun"]]
        during += [it.seconds for it in fast if restart["begun"] <= it.due < restart["ended"]]
    streams, websockets = (
        sum((it.ends for it in clients), collections.Counter()) for clients in (traffic.streams, traffic.websockets))
    quiet_p99, during_p99 = percentile(quiet, 0.99), percentile(during, 0.99)
    return {
        "requests": len(traffic.requests),
        "failed": len(failed),
        "failures": dict(failures.most_common()),
        "posts": len(posts),
        "posts_executed_twice": sum(times_executed[it.number] > 1 for it in posts),
        "posts_failed_though_executed": sum(it.outcome != "200" and times_executed[it.number] > 0 for it in posts),
        "posts_answered_but_not_executed": sum(it.outcome == "200" and not times_executed[it.number] for it in posts),
        "quiet_p50_ms": round(percentile(quiet, 0.5) * 1000, 2), "quiet_p99_ms": round(quiet_p99 * 1000, 2),
        "restart_p50_ms": round(percentile(during, 0.5) * 1000, 2), "restart_p99_ms": round(during_p99 * 1000, 2),
        "p99_ratio": round(during_p99 / quiet_p99, 2) if quiet_p99 else None,
        "event_streams": dict(streams), "events": sum(it.events for it in traffic.streams),
        "websockets": dict(websockets), "messages": sum(it.messages for it in traffic.websockets),
        "uploads": dict(traffic.uploads),
        "load_generator_cpus": round(share, 2),
        "restarts": [
            {"seconds": round(it["ended"] - it["begun"], 1), "exit_status": it["exit_status"], "output": it["output"]}
            for it in restarts],
    }


def run(name, options, preload, broken=False):
    """One arrangement from start to stop; returns its numbers."""
    galaxy = Galaxy(
        preload, boot_seconds=options.boot_seconds, start_timeout=options.start_timeout,
        restart_timeout=options.restart_timeout)
    arrangement = None
    try:
        galaxy.start()
        arrangement = ARRANGEMENTS[name](galaxy.sockets, str(galaxy.folder))
        traffic, restarts, share, state = asyncio.run(measure(arrangement, galaxy, options, broken))
        row = summarise(traffic, restarts, share, galaxy.executed())
        if broken:
            first = galaxy.first_failure()
            end = restarts[0]["begun_clock"] + restarts[0]["ended"] - restarts[0]["begun"]
            row |= state | {"seconds_from_first_failed_boot": round(end - first, 1) if first else None}
        return row
    finally:
        if arrangement:
            arrangement.stop()
        galaxy.stop()
        for process, command in end_descendants(END_SECONDS).items():
            print(f"had to end process {process}: {command}", file=sys.stderr)


def bad_ends(ends, cut):
    """How many sessions were cut in this way, and how many did not come about at all."""
    refused = sum(count for end, count in ends.items() if end.startswith(("refused", "no ")))
    return f"{ends.get(cut, 0)}, {refused}"


TABLE = """
| arrangement | preload | restarts, seconds each | requests | failed | POSTs executed twice | p99 quiet, ms \
| p99 restart, ms | ratio | event streams cut in an event, refused | WebSockets without a Close frame, refused | uploads |
|---|---|---|---|---|---|---|---|---|---|---|---|"""
BROKEN_TABLE = """
| arrangement | preload | exit status | seconds from the failed boot | requests | failed | the gunicorns answer |
|---|---|---|---|---|---|---|"""


def line(name, preload, row):
    """A row of the table of restarts."""
    seconds = [it["seconds"] for it in row["restarts"]]
    done = sum(it["exit_status"] == 0 for it in row["restarts"])
    spread = f"{min(seconds):.0f} to {max(seconds):.0f}" if len(seconds) > 1 else f"{seconds[0]:.0f}"
    uploads = f"{row['uploads'].get('ok', 0)} of {sum(row['uploads'].values())}"
    cells = [
        ARRANGEMENTS[name].title, "yes" if preload else "no", f"{done} of {len(seconds)} done, {spread} s",
        f"{row['requests']:,}", f"{row['failed']:,}", row["posts_executed_twice"], row["quiet_p99_ms"],
        row["restart_p99_ms"], row["p99_ratio"], bad_ends(row["event_streams"], "in the middle of an event"),
        bad_ends(row["websockets"], "without a Close frame"), uploads]
    return "| " + " | ".join(map(str, cells)) + " |"


def broken_line(name, preload, row):
    """A row of the table of broken deploys."""
    answers = ", ".join(version or "nothing" for version in row["gunicorns"])
    cells = [
        ARRANGEMENTS[name].title, "yes" if preload else "no", row["restarts"][0]["exit_status"],
        row["seconds_from_first_failed_boot"], f"{row['requests']:,}", f"{row['failed']:,}", answers]
    return "| " + " | ".join(map(str, cells)) + " |"


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arrangement", action="append", choices=list(ARRANGEMENTS), help="repeatable; all of them")
    parser.add_argument("--preload", action=argparse.BooleanOptionalAction, help="only with, or only without; both")
    parser.add_argument("--rate", type=float, default=500, help="requests a second (500)")
    parser.add_argument("--restarts", type=int, default=10, help="in a row (10)")
    parser.add_argument("--quiet", type=float, default=20, help="seconds before the first restart, at least (20)")
    parser.add_argument("--upload-size", type=int, default=1024, help="MiB, one after the other; 0 for none (1024)")
    parser.add_argument("--upload-seconds", type=float, default=20, help="how long it takes to send (20)")
    parser.add_argument("--boot-seconds", type=float, default=5, help="how long a gunicorn takes to boot (5)")
    parser.add_argument("--start-timeout", type=int, default=2, help="Gravity's setting, supervisor's startsecs (2)")
    parser.add_argument("--restart-timeout", type=int, default=60, help="Gravity's setting, seconds (60)")
    parser.add_argument("--broken-deploy", action="store_true", help="one restart, with code that can't be imported")
    parser.add_argument("--broken-after", type=float, default=1, help="seconds after which its import raises (1)")
    parser.add_argument("--json", help="a file for everything that was counted")
    options = parser.parse_args()
    if options.broken_deploy:
        options.restarts = 1
    return options


def main():
    """Returns the exit status: 0 if all arrangements could be measured and all restarts were done."""
    options = arguments()
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    table = {}
    are_done = True
    print(BROKEN_TABLE if options.broken_deploy else TABLE, flush=True)
    for name in options.arrangement or ARRANGEMENTS:
        for preload in [True, False] if options.preload is None else [options.preload]:
            try:
                row = run(name, options, preload, options.broken_deploy)
            except Failure as failure:
                print(f"{name}: {failure}", file=sys.stderr)
                return 1
            table.setdefault(name, {})["preload" if preload else "no preload"] = row
            are_done &= options.broken_deploy or all(it["exit_status"] == 0 for it in row["restarts"])
            print((broken_line if options.broken_deploy else line)(name, preload, row), flush=True)
            if options.json:
                Path(options.json).write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    return 0 if are_done else 1


if __name__ == "__main__":
    sys.exit(main())
