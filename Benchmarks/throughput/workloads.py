"""What is measured: the loads, how the proxies are set up for them, and what galaxy-lb aims at."""

from dataclasses import dataclass, field

from throughput.peers import CONNECTIONS
from throughput.setup import Setup

MIB = 1 << 20
GIB = 1 << 30
PROXIES = ("galaxy-lb", "nginx", "haproxy", "envoy")
ALL = (*PROXIES, "processes", "relay", "no proxy")
# HAProxy wants room for two open files of each connection.
MANY = min(10000, CONNECTIONS // 1000 * 1000)


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    # `load`, `websocket` or `readers` of Benchmarks/programs, with its arguments.
    program: str
    arguments: tuple
    setup: Setup = field(default_factory=Setup)
    sockets: int = 2
    # Seconds of a measurement; None for a load that ends by itself.
    seconds: float | None = 3.0
    # Bytes that each good answer stands for: CPU time is told per GiB then, else per answer.
    volume: int = 0
    # Good answers that there must be; None for as many as there are.
    answers: int | None = None
    contenders: tuple = (*PROXIES, "relay", "no proxy")
    shows_latency: bool = False
    # Whether system calls are counted (in a run of its own) and instructions (callgrind; at most for two workloads).
    counts_calls: bool = False
    counts_instructions: bool = False
    # Memory of each connection: "idle" when connected and served once, "peak" while it is being served.
    memory: str = ""
    connections: int = 64
    # The ratio of CPU time to the best peer that issue and documentation promise; bytes for a workload of memory.
    aim: float | None = None
    memory_aim: int | None = None
    # Part of `make benchmark-quick`.
    is_quick: bool = True
    # Those of one family are measured in the same rounds, because what counts is how they compare with the first.
    family: str = ""
    # From where to where it is from the first of its family, if that is to be told.
    growth: str = ""


def requests(name, title, *arguments, connections=64, **options):
    return Workload(name, title, "load", ("--connections", str(connections), *arguments), connections=connections,
                    **options)


def body(length):
    return ("--path", f"/bytes/{length}", "--expect", str(length))


SMALL = body(100)

WORKLOADS = [
    requests("kept", "100 B over 64 kept connections", *SMALL, aim=0.72, counts_calls=True, counts_instructions=True,
             family="threads"),
    # The same load for each thread as there, and the same for both together.
    requests("2-threads", "100 B over 128 kept connections, 2 threads", *SMALL, connections=128, setup=Setup(workers=2),
             contenders=(*PROXIES, "processes"), family="threads",
             growth="from 1 to 2 threads with 64 connections each"),
    requests("2-threads-shared", "100 B over 64 kept connections, 2 threads", *SMALL, setup=Setup(workers=2),
             contenders=(*PROXIES, "processes"), is_quick=False, family="threads",
             growth="from 1 to 2 threads with 64 connections in all"),
    requests("each", "100 B, a connection per request", *SMALL, "--each", aim=0.80, counts_calls=True,
             counts_instructions=True),
    requests("each-deferred", "100 B, a connection per request, deferred accept", *SMALL, "--each",
             setup=Setup(defers=True), aim=0.62, counts_calls=True, is_quick=False),
    requests("10k", "10 KiB over 64 kept connections", *body(10240), aim=0.75, counts_calls=True),
    requests("1m", "1 MiB over 16 kept connections", *body(MIB), connections=16, setup=Setup(bodies="large"), aim=0.95,
             counts_calls=True),
    requests("download", "1 GiB download", *body(GIB), "--cold", "--requests", "2", connections=1,
             setup=Setup(bodies="large"), seconds=None, volume=GIB, answers=2, aim=1.0),
    requests("upload", "256 MiB uploads, 4 at a time", "--upload", str(256 * MIB), "--expect", "9", "--cold",
             "--requests", "8", connections=4, setup=Setup(bodies="upload"), seconds=None, volume=256 * MIB, answers=8,
             aim=0.70),
    requests("busy", "100 B over 1,000 busy connections", *SMALL, connections=1000, aim=0.60, counts_calls=True),
    Workload("websocket", "WebSocket echo of 32 B over 64 connections", "websocket", (), aim=0.92, counts_calls=True),
    requests("steady-5000", "100 B at a steady 5,000/s", *SMALL, "--rate", "5000", aim=0.95, shows_latency=True,
             counts_calls=True),
    requests("steady-10000", "100 B at a steady 10,000/s", *SMALL, "--rate", "10000", aim=0.95, shows_latency=True,
             is_quick=False),
    requests("idle", "5,000 idle connections", *SMALL, "--requests", "1", "--inflight", "64", connections=5000,
             seconds=None, answers=1, memory="idle", memory_aim=500),
    Workload("slow", "200 slow readers of 1 MiB", "readers", ("--answers", "2"), seconds=None, volume=MIB, answers=400,
             setup=Setup(bodies="slow"), memory="peak", connections=200, aim=1.0, memory_aim=10240),
    *(requests(f"upstreams-{count}", f"100 B over 64 kept connections, {count} upstreams", *SMALL, sockets=count,
               contenders=PROXIES, is_quick=False, family="upstreams",
               growth="from 2 to 64 upstreams" if count == 64 else "") for count in (2, 8, 64)),
    *(requests(f"connections-{count}", f"100 B over {count:,} connections, at most 64 at a time", *SMALL,
               "--inflight", str(min(count, 64)), connections=count, contenders=(*PROXIES, "relay"), is_quick=False,
               family="connections", growth=f"from 10 to {MANY:,} connections" if count == MANY else "")
      for count in (10, 100, 1000, MANY)),
]
