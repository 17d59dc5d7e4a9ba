"""The codec, driven through the codec-probe executable of the package."""

import json
import os
import struct
import subprocess
from pathlib import Path

TREE = Path(__file__).resolve().parents[3]
SCRATCH = TREE / "build" / "probe"
HEXADECIMAL = ("method", "target", "path", "authority", "written", "phrase", "content", "trailers")


class Probe:
    """Asks the codec many things at once."""

    def __init__(self) -> None:
        """Takes the executable that CODEC_PROBE names, or builds it."""
        self.path = os.environ.get("CODEC_PROBE") or self._build()

    @staticmethod
    def _build() -> Path:
        command = ["swift", "build", "--product", "codec-probe", "--jobs", "2", "--scratch-path", SCRATCH]
        built = subprocess.run(command, cwd=TREE, capture_output=True, text=True, timeout=600)
        assert built.returncode == 0, built.stdout + built.stderr
        return SCRATCH / "debug" / "codec-probe"

    def ask(self, frames: list[tuple[str, bytes]]) -> list[dict]:
        """The answers to frames of a kind (see Tests/CodecProbe/main.swift) and the bytes to read."""
        stream = b"".join(struct.pack("<cI", kind.encode(), len(data)) + data for kind, data in frames)
        run = subprocess.run([self.path], input=stream, capture_output=True, timeout=120)
        assert run.returncode == 0, f"codec-probe ended with {run.returncode}: {run.stderr.decode(errors='replace')}"
        answers = [json.loads(line) for line in run.stdout.splitlines()]
        assert len(answers) == len(frames)
        for answer in answers:
            answer.update((key, bytes.fromhex(answer[key])) for key in HEXADECIMAL if key in answer)
        return answers
