"""galaxy-lb beside nginx, HAProxy, Envoy, a bare relay and no proxy at all: CPU time, throughput, latency, memory."""

import argparse
import json
import os

from throughput import machine, programs, table, target
from throughput.contest import run, system_calls
from throughput.instructions import per_request
from throughput.verify import verify_all
from throughput.workloads import ALL, WORKLOADS


def interleaved(parts, rounds):
    """A B C, C B A, ...: so that a machine that gets slower or faster in the meantime favours nobody."""
    return [part for turn in range(rounds) for part in (parts if turn % 2 == 0 else reversed(parts))]


def families(workloads):
    """The workloads of each family, and each that has none by itself, in the order of the first ones."""
    found = {}
    for workload in workloads:
        found.setdefault(workload.family or workload.name, []).append(workload)
    return found


def measure(workloads, options):
    """What was found of each of the workloads, by name, all of them measured in the same rounds."""
    found = {workload.name: {"title": workload.title, "runs": {}, "errors": {}} for workload in workloads}
    parts = [(workload, name) for name in ALL for workload in workloads if name in workload.contenders
             and (not options.contender or name in options.contender)]
    for workload, name in interleaved(parts, options.rounds):
        own = found[workload.name]
        try:
            own["runs"].setdefault(name, []).append(run(workload, name, options.scale))
        except (ValueError, RuntimeError, OSError, SystemExit) as error:
            own["errors"][name] = str(error)
    for workload in workloads:
        own = found[workload.name]
        for name in own["errors"]:
            own["runs"].pop(name, None)
        if workload.counts_calls and not options.without_tracing:
            own["calls"] = {name: system_calls(workload, name) for name in own["runs"]}
        if workload.counts_instructions and not options.without_tracing:
            own["instructions"] = {name: per_request(workload, name) for name in own["runs"]}
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
    sections, growth = [], []
    for workloads in families(chosen).values():
        found = measure(workloads, options)
        results["workloads"] |= found
        for workload in workloads:
            own = found[workload.name]
            print(table.text(workload, own), flush=True)
            sections.append(table.markdown(workload, own, f"make benchmark OPTIONS='--workload {workload.name}'"))
        first, *others = workloads
        for workload in others:
            if workload.growth:
                runs = (found[each.name]["runs"] for each in (first, workload))
                growth.append(table.growth(workload.growth, *runs))
                print(growth[-1], "\n", flush=True)
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    if options.markdown:
        with open(options.markdown, "w", encoding="utf-8") as file:
            file.write("\n".join([machine.sentence(where) + ".", "", *sections, *(f"- {line}" for line in growth), ""]))
    print(f"All figures: {options.json}")


if __name__ == "__main__":
    main()
