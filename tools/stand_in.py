"""A real Gravity around the stand-in for Galaxy, in a private folder: what the demonstration and benchmarks share."""

import http.client
import json
import os
import shutil
import socket
import tempfile
from pathlib import Path

DEMONSTRATION = Path(__file__).resolve().parent.parent / "Demonstration"
# unix(7): sun_path has 108 bytes with its NUL; supervisor binds a name of its own beside the final one.
LONGEST_SOCKET = "/database/gravity/supervisor/supervisor.sock.4194304"
LONGEST_SOCKET_PATH = 107


class Failure(Exception):
    """What was asked for can't start or go on; the message is for the person who runs it."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def answers(connection: http.client.HTTPConnection) -> bool:
    """Whether a Galaxy answers there: readiness as Gravity understands it."""
    try:
        connection.request("GET", "/api/version")
        response = connection.getresponse()
        return response.status == 200 and "version_major" in json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


def state_directory() -> Path:
    """A new folder that only this user can enter, with a name short enough for unix sockets in it."""
    for parent in (tempfile.gettempdir(), "/tmp"):
        state = Path(tempfile.mkdtemp(prefix="galaxy-lb-", dir=parent)).resolve()
        if len(os.fsencode(state)) + len(LONGEST_SOCKET) <= LONGEST_SOCKET_PATH:
            return state
        state.rmdir()
    raise Failure(f"{state}: too long a path for unix sockets in it, set TMPDIR to a shorter one")


def environment(virtual_environment: Path) -> dict[str, str]:
    """The environment of what is started: nothing in it that points Gravity at somebody else's Galaxy."""
    foreign = ("GALAXY_", "GRAVITY_", "PYTHON", "SUPERVISOR", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    kept["PATH"] = f"{virtual_environment / 'bin'}:{kept.get('PATH', os.defpath)}"
    kept["PYTHONDONTWRITEBYTECODE"] = "1"
    # To root Gravity offers nothing but systemd, unless this is set.
    kept["GRAVITY_SKIP_SYSTEMD"] = "1"
    return kept


def lay_out(state: Path) -> None:
    """Copies the stand-in to a folder, which becomes the root of a Galaxy."""
    for name in ("config", "lib", "scripts", "requirements.txt"):
        source = DEMONSTRATION / name
        if source.is_dir():
            shutil.copytree(source, state / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, state / name)
