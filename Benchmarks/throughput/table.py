"""From figures of single runs to tables: medians, lowest and highest, ratios and aims."""

from statistics import median

PEERS = ("nginx", "haproxy", "envoy")


def spread(values):
    """Median, lowest, highest."""
    return median(values), min(values), max(values)


def best_peer(runs, figure="cpu"):
    """The peer with the lowest median, and None when none ran."""
    present = [name for name in PEERS if runs.get(name)]
    return min(present, key=lambda name: median(run[figure] for run in runs[name]), default=None)


def ratio(runs, figure="cpu", name="galaxy-lb"):
    """The median over the rounds of a contender's figure to that of the best peer in the same round: what disturbs the
    machine for a while disturbs both. None without a peer."""
    best = best_peer(runs, figure)
    if not best or not runs.get(name):
        return None
    return median(own[figure] / other[figure] for own, other in zip(runs[name], runs[best]))


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def figures(workload, runs):
    """Head and rows of a workload's table."""
    if workload.memory == "idle":
        return memory_figures(workload, runs)
    unit = "ms/GiB" if workload.volume else "us"
    columns = ["", f"CPU {unit}", "lowest-highest", "ratio", "others' CPU", "a second", "CPUs used"]
    if workload.shows_latency:
        columns += ["p50 us", "p99 us", "p99.9 us"]
    columns.append("MiB")
    if workload.memory:
        columns.append("bytes a connection")
    if workload.counts_calls:
        columns.append("calls")
    if workload.counts_instructions:
        columns.append("instructions")
    rows = []
    for name in workload.contenders:
        own = runs["runs"].get(name)
        if not own:
            continue
        middle, lowest, highest = spread([run["cpu"] for run in own])
        share = ratio(runs["runs"], name=name)
        row = [name, number(middle), f"{number(lowest)}-{number(highest)}", f"{share:.2f}" if share else "",
               *(number(median(run[key] for run in own)) for key in ("others", "rate", "used"))]
        if workload.shows_latency:
            row += [number(median(run[key] for run in own)) for key in ("p50", "p99", "p999")]
        row.append(number(median(run["resident"] for run in own) / (1 << 20)))
        if workload.memory:
            row.append(number(median(run["each"] for run in own)))
        if workload.counts_calls:
            calls = runs.get("calls", {}).get(name)
            row.append(f"{sum(calls.values()):.2f}" if calls else "")
        if workload.counts_instructions:
            counted = runs.get("instructions", {}).get(name)
            row.append(f"{counted:,}" if counted else "")
        rows.append(row)
    return columns, rows


def memory_figures(workload, runs):
    """Where nothing is sent there is nothing to tell about CPU time."""
    rows = []
    for name in workload.contenders:
        if own := runs["runs"].get(name):
            middle, lowest, highest = spread([run["each"] for run in own])
            rows.append([name, number(middle), f"{number(lowest)}-{number(highest)}",
                         number(median(run["resident"] for run in own) / (1 << 20))])
    return ["", "bytes a connection", "lowest-highest", "MiB in all"], rows


def verdicts(workload, runs):
    """One line for each contender that failed, and for each aim what came out."""
    lines = [f"{name} has no figures: {error}" for name, error in runs["errors"].items()]
    shares = ratio(runs["runs"])
    if workload.aim and shares is not None:
        best = best_peer(runs["runs"])
        lines.append(f"aim: {workload.aim:.2f} of the best peer's CPU time ({best}); measured {shares:.2f}: "
                     f"{'met' if shares <= workload.aim else 'missed'}")
    if workload.memory_aim and runs["runs"].get("galaxy-lb"):
        each = median(run["each"] for run in runs["runs"]["galaxy-lb"])
        lines.append(f"aim: {workload.memory_aim:,} bytes a connection; measured {each:,.0f}: "
                     f"{'met' if each <= workload.memory_aim else 'missed'}")
    if workload.aim and workload.shows_latency and shares is not None:
        best = best_peer(runs["runs"], "p99")
        share = ratio(runs["runs"], "p99")
        lines.append(f"aim: p99 not above the best peer's ({best}); measured {share:.2f} of it: "
                     f"{'met' if share <= 1 else 'missed'}")
    return lines


def growth(title, first, last):
    """By what the CPU time of an answer is multiplied from one workload of a family to another: for each contender the
    median over the rounds, lowest and highest. One process in place of threads is galaxy-lb itself."""
    factors = []
    for name, runs in last.items():
        base = first.get("galaxy-lb" if name == "processes" else name)
        if base:
            middle, lowest, highest = spread([after["cpu"] / before["cpu"] for before, after in zip(base, runs)])
            factors.append(f"{name} {middle:.2f} ({lowest:.2f}-{highest:.2f})")
    return f"CPU time of an answer {title}, multiplied by: {', '.join(factors)}"


def text(workload, runs):
    columns, rows = figures(workload, runs)
    widths = [max(len(row[index]) for row in [columns, *rows]) for index in range(len(columns))]
    lines = [workload.title]
    for row in [columns, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        lines.append("  " + "  ".join(cells))
    return "\n".join([*lines, *(f"  {line}" for line in verdicts(workload, runs)), ""])


def markdown(workload, runs, command):
    columns, rows = figures(workload, runs)
    lines = [f"### {workload.title}", "", f"`{command}`", "", "| " + " | ".join(columns) + " |",
             "|---" + "|---:" * (len(columns) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", *(f"- {line}" for line in verdicts(workload, runs)), ""])
