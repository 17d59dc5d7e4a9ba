"""How a proxy is to be set up for a workload."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Setup:
    """What an administrator would know about the traffic. galaxy-lb is set up the same for all kinds of bodies."""

    # Event loops, threads or worker processes.
    workers: int = 1
    # small, large (downloads), upload, or slow (large ones to many slow clients).
    bodies: str = "small"
    # TCP_DEFER_ACCEPT (tcp(7)).
    defers: bool = False
    # A program in front of the proxy's own command, such as valgrind: it then runs as a single process.
    wrapper: tuple = ()

    @property
    def splices(self):
        return self.bodies in ("upload", "slow")
