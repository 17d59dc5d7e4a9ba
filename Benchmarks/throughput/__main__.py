"""galaxy-lb beside nginx, HAProxy, Envoy, a bare relay and no proxy at all: CPU time, throughput, latency, memory."""

import argparse
import json
import os

from throughput import machine, programs, table, target
from throughput.contest import run, system_calls
from throughput.instructions import per_request
from throughput.verify import verify_all
from throughput.workloads import ALL, WORKLOADS


def interleaved(names, rounds):
    """A B C, C B A, ...: so that a machine that gets slower or faster in the meantime favours nobody."""
    return [name for turn in range(rounds) for name in (names if turn % 2 == 0 else reversed(names))]


def measure(workload, names, options):
    runs, errors = {}, {}
    for name in interleaved(names, options.rounds):
        try:
            runs.setdefault(name, []).append(run(workload, name, options.scale))
        except (ValueError, RuntimeError, OSError, SystemExit) as error:
            errors[name] = str(error)
    for name in errors:
        runs.pop(name, None)
    found = {"title": workload.title, "runs": runs, "errors": errors}
    if workload.counts_calls and not options.without_tracing:
        found["calls"] = {name: system_calls(workload, name) for name in runs}
    if workload.counts_instructions and not options.without_tracing:
        found["instructions"] = {name: per_request(workload, name) for name in runs}
    return found


def options_of_command_line():
    parser = argparse.ArgumentParser(prog="throughput", description=__doc__)
    parser.add_argument("--workload", action="append", choices=[workload.name for workload in WORKLOADS])
    parser.add_argument("--contender", action="append", choices=ALL)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--scale", type=float, default=1.0, help="of the time of each measurement")
    parser.add_argument("--quick", action="store_true", help="two short rounds, without the rows about flatness")
    parser.add_argument("--without-tracing", action="store_true", help="count no system calls and no instructions")
    parser.add_argument("--json", default=os.path.join(programs.BUILT, "throughput.json"))
    parser.add_argument("--markdown", help="a file for the tables as they are in docs/benchmarks.md")
    parser.add_argument("--target", nargs="+", metavar="URL", help="measure these instead: a Galaxy, its gunicorn")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.scale, options.without_tracing = 2, 0.25, True
    return options


def main():
    options = options_of_command_line()
    programs.build()
    if options.target:
        return target.measure(options)
    chosen = [workload for workload in WORKLOADS
              if (workload.name in options.workload if options.workload else workload.is_quick or not options.quick)]
    where = machine.description()
    print(machine.sentence(where), "\n", flush=True)
    verify_all([name for name in ALL[:4] if not options.contender or name in options.contender])
    results = {"machine": where, "rounds": options.rounds, "scale": options.scale, "workloads": {}}
    sections = []
    for workload in chosen:
        names = [name for name in workload.contenders if not options.contender or name in options.contender]
        results["workloads"][workload.name] = found = measure(workload, names, options)
        print(table.text(workload, found), flush=True)
        sections.append(table.markdown(workload, found, f"make benchmark OPTIONS='--workload {workload.name}'"))
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    growth = table.growth(results["workloads"])
    print("\n".join([*growth, ""]) if growth else "", end="")
    if options.markdown:
        with open(options.markdown, "w", encoding="utf-8") as file:
            file.write("\n".join([machine.sentence(where) + ".", "", *sections, *(f"- {line}" for line in growth), ""]))
    print(f"All figures: {options.json}")


if __name__ == "__main__":
    main()
