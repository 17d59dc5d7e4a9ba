"""`tools/install`: what comes where, with the program where it was installed, and units that systemd takes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
SECONDS = 60


@pytest.fixture
def install(tmp_path):
    """Installs a program that only has the name, below a folder of the test; returns the folder."""
    tree = tmp_path / "tree"
    for name in ("tools", "conf"):
        shutil.copytree(TREE / name, tree / name)
    (tree / "build").mkdir()

    def run(*arguments, program="#!/bin/sh\n"):
        if program is not None:
            (tree / "build" / "galaxy-lb").write_text(program)
            (tree / "build" / "galaxy-lb").chmod(0o755)
        return subprocess.run(
            [tree / "tools" / "install", *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)

    return run


@pytest.mark.parametrize("prefix", ["/usr/local", "/opt/proxy"])
def test_everything_is_below_the_prefix(install, tmp_path, prefix):
    ended = install("--prefix", prefix, "--destdir", str(tmp_path / "root"))
    assert ended.returncode == 0, ended.stderr
    root = tmp_path / "root"
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert files == {
        f"{prefix[1:]}/{path}" for path in (
            "bin/galaxy-lb", "lib/systemd/system/galaxy-lb.service", "lib/systemd/system/galaxy-lb.socket",
            "lib/systemd/user/galaxy-lb.service", "share/doc/galaxy-lb/50-galaxy-lb.rules",
            "share/doc/galaxy-lb/ansible-task.yml", "share/doc/galaxy-lb/galaxy-lb.yml",
            "share/doc/galaxy-lb/supervisor-galaxy-lb.conf")}
    # Enabled would be a link.
    assert not [path for path in root.rglob("*") if path.is_symlink()]
    for name in ("system", "user"):
        text = (root / prefix[1:] / "lib/systemd" / name / "galaxy-lb.service").read_text()
        assert re.search(rf"^ExecStart={prefix}/bin/galaxy-lb --config ", text, re.MULTILINE), text


def test_nothing_is_installed_that_was_not_built(install, tmp_path):
    ended = install("--destdir", str(tmp_path / "root"), program=None)
    assert ended.returncode == 1
    assert "make build" in ended.stderr
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("name", ["galaxy-lb.service", "galaxy-lb.socket", "galaxy-lb-user.service"])
def test_systemd_takes_the_units(tmp_path, name):
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    # It looks whether the program is there; a socket unit wants its service.
    for unit in {name, "galaxy-lb.service"}:
        text = (TREE / "conf" / unit).read_text()
        (tmp_path / unit).write_text(re.sub(r"(?m)^(ExecStart=)\S+", r"\g<1>/bin/true", text))
    mode = ["--user"] if "user" in name else []
    ended = subprocess.run(
        ["systemd-analyze", "verify", *mode, tmp_path / name], capture_output=True, text=True, timeout=SECONDS,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}, check=False)
    complaints = [line for line in ended.stderr.splitlines() if "galaxy-lb" in line]
    assert ended.returncode == 0 and not complaints, ended.stderr
