"""A program on a terminal: what it writes, as the screen then shows it."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time


class Screen:
    """The part of a terminal that programs here use: line breaks, cursor up, clearing, colours (ECMA-48).

    It breaks lines that are too wide, and keeps what scrolls off its top.
    """

    SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lines = [""]
        self.row = self.column = 0
        # Lines that went on in the next row because they were too wide.
        self.breaks = 0
        self.coloured = False

    def write(self, text):
        position = 0
        while position < len(text):
            sequence = self.SEQUENCE.match(text, position)
            if sequence:
                self.obey(*sequence.groups())
                position = sequence.end()
                continue
            character = text[position]
            position += 1
            if character == "\r":
                self.column = 0
            elif character == "\n":
                self.line_feed()
            elif character >= " ":
                self.put(character)
            else:
                raise AssertionError(f"the control character {character!r}")

    def put(self, character):
        if self.column == self.columns:
            self.breaks += 1
            self.column = 0
            self.line_feed()
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[:self.column] + character + line[self.column + 1:]
        self.column += 1

    def line_feed(self):
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")

    def obey(self, argument, command):
        if command == "A":
            top = max(0, len(self.lines) - self.rows)
            self.row = max(top, self.row - int(argument or 1))
        elif command == "K":
            self.lines[self.row] = self.lines[self.row][:self.column]
        elif command == "J":
            self.lines[self.row] = self.lines[self.row][:self.column]
            del self.lines[self.row + 1:]
        elif command == "m":
            self.coloured = True
        else:
            raise AssertionError(f"the sequence {argument}{command}")

    def text(self):
        return "\n".join(line.rstrip() for line in self.lines)


class OnTerminal:
    """A program whose standard streams are a terminal of its own, its controlling one."""

    def __init__(self, command, environment, columns=80, rows=24):
        self.primary, secondary = pty.openpty()
        self.screen = Screen(columns, rows)
        self.raw = b""
        self.partial = b""
        self.resize(columns, rows)
        # setsid(1) does not fork here, so that the child is the program itself.
        self.child = subprocess.Popen(["setsid", "--ctty", *command], env=environment, stdin=secondary,
                                      stdout=secondary, stderr=secondary)
        os.close(secondary)

    def resize(self, columns, rows):
        fcntl.ioctl(self.primary, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.primary, text.encode())

    def read(self, timeout):
        """Takes what is written within so many seconds; False when nothing was, or the program has ended."""
        if not select.select([self.primary], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.primary, 65_536)
        except OSError:
            # The other side is closed (pty(7)).
            return False
        self.raw += data
        data = self.partial + data
        # A sequence may come in two pieces.
        cut = data.rfind(b"\x1b")
        whole = cut < 0 or Screen.SEQUENCE.match(data[cut:].decode("utf-8", "replace"))
        self.partial = b"" if whole else data[cut:]
        self.screen.write((data if whole else data[:cut]).decode())
        return True

    def wait_for(self, condition, what, timeout=20):
        """Reads until a condition of the screen's text holds."""
        deadline = time.monotonic() + timeout
        while not condition(self.screen.text()):
            assert time.monotonic() < deadline, f"not within {timeout} s: {what}; on the screen:\n{self.screen.text()}"
            if not self.read(0.1) and self.child.poll() is not None and not self.read(0.1):
                assert condition(self.screen.text()), f"ended without {what}; on the screen:\n{self.screen.text()}"

    def wait_for_text(self, text):
        self.wait_for(lambda shown: text in shown, repr(text))

    def wait(self, timeout=20):
        """The exit status, after all that was written is read."""
        deadline = time.monotonic() + timeout
        while self.child.poll() is None:
            assert time.monotonic() < deadline, f"it does not end; on the screen:\n{self.screen.text()}"
            self.read(0.05)
        while self.read(0.1):
            pass
        return self.child.returncode

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait(10)
        os.close(self.primary)
