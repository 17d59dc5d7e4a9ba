"""Public unix sockets: whose they are, and that none stays behind."""

import os
import pathlib
import pwd
import signal
import stat
import subprocess
import tempfile

import pytest

from harness.process import Program
from harness.stream import eventually

pytestmark = pytest.mark.galaxy_lb

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BINARY = os.path.abspath(os.environ.get("GALAXY_LB", os.path.join(REPOSITORY, ".build/release/galaxy-lb")))


def test_failed_start_leaves_no_socket(tmp_path):
    """What was begun is undone when a later step fails, here the second address or the control socket."""
    public = tmp_path / "public.sock"
    for rest in (["--listen", "unix:/no/such/folder/b.sock", "--control", "off"],
                 ["--control", "/no/such/folder/control.sock"]):
        result = subprocess.run([BINARY, "--listen", f"unix:{public}", *rest, "--upstream", "127.0.0.1:1"],
                                capture_output=True, text=True, timeout=30, check=False)
        assert result.returncode == 1, result.stderr
        assert "cannot start" in result.stderr and "/no/such/folder" in result.stderr
        assert not public.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_socket_belongs_to_whom_the_proxy_becomes(tmp_path):
    """Mode 0660, of the user and group that the process runs as, who can also remove it."""
    nobody = pwd.getpwnam("nobody")
    # Others have no way into the folders of pytest.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        check_ownership(nobody, pathlib.Path(folder) / "public.sock", tmp_path)


def check_ownership(nobody, public, tmp_path):
    file = tmp_path / "galaxy-lb.yml"
    file.write_text(f'listen: ["unix:{public}"]\nuser: nobody\ncontrol: off\n'
                    'pools: {main: {upstreams: ["127.0.0.1:1"]}}\n')
    program = Program([BINARY, "--config", str(file)], str(tmp_path / "log"))
    try:
        eventually(lambda: b"listening" in program.log(), "it listens")
        status = os.stat(public)
        assert stat.S_IMODE(status.st_mode) == 0o660
        assert (status.st_uid, status.st_gid) == (nobody.pw_uid, nobody.pw_gid)
        with open(f"/proc/{program.pid}/status", encoding="ascii") as lines:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
        assert set(fields["Uid"].split()) == {str(nobody.pw_uid)}
        assert set(fields["Gid"].split()) == {str(nobody.pw_gid)}
        assert fields["CapEff"].strip("0") == ""
    finally:
        assert program.stop(signal.SIGTERM) == 0
    assert not public.exists()
