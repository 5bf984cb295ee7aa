"""Processes of a control plane: each in a session of its own, recorded in a folder, ended in reverse order of start.

The record is what ``dev down`` and the guard work from. A process is ours only while its command line still names the
cluster's folder: an old process id may by then belong to somebody else.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kai_sched.errors import ControlPlaneError
from kai_sched.localcluster.recipe import Layout

_PATIENCE_SECONDS = 10.0
"""How long a process may take to end by itself; the API server needs 2.5 s."""
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Recorded:
    """A process as its record names it; ``order`` is that of the start."""

    order: int
    name: str
    pid: int
    record: Path


def launch(layout: Layout, order: int, name: str, argv: Sequence[str | Path]) -> subprocess.Popen[bytes]:
    """Starts and records a process. Its own session keeps a Ctrl-C of the terminal away from it."""
    layout.logs.mkdir(parents=True, exist_ok=True)
    layout.pids.mkdir(parents=True, exist_ok=True)
    with (layout.logs / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=layout.folder,
        )
    (layout.pids / f"{order}-{name}.pid").write_text(str(process.pid))
    return process


def recorded(layout: Layout) -> list[Recorded]:
    """Every recorded process, in order of start."""
    found = []
    for record in layout.pids.glob("*.pid"):
        order, _, name = record.stem.partition("-")
        text = record.read_text().strip()
        if text.isdigit():
            found.append(Recorded(int(order), name, int(text), record))
    return sorted(found, key=lambda process: process.order)


def is_alive(layout: Layout, process: Recorded) -> bool:
    """Whether the recorded process still runs (and is no other one with the same id)."""
    command = _command_line(process.pid)
    return command is not None and (command == "" or str(layout.folder) in command)


def end_all(layout: Layout) -> None:
    """Ends all recorded processes, the last started first; each gets time to leave, then SIGKILL."""
    for process in reversed(recorded(layout)):
        end(layout, process)


def end(layout: Layout, process: Recorded, *, first: signal.Signals = signal.SIGTERM) -> None:
    """Ends one recorded process and forgets it."""
    if is_alive(layout, process):
        _send(process.pid, first)
        if not _wait_gone(layout, process, _PATIENCE_SECONDS):
            _send(process.pid, signal.SIGKILL)
            if not _wait_gone(layout, process, _PATIENCE_SECONDS):
                raise ControlPlaneError(f"{process.name} (process {process.pid}) does not end")
    process.record.unlink(missing_ok=True)


def last_words(layout: Layout, name: str, lines: int = 3) -> str:
    """The end of a process's log, for an error message."""
    log = layout.logs / f"{name}.log"
    if not log.exists():
        return "no log"
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-lines:])[-600:]


def _send(pid: int, which: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, which)


def _wait_gone(layout: Layout, process: Recorded, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not is_alive(layout, process):
            _collect(process.pid)
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _collect(pid: int) -> None:
    """Collects the exit of a child of ours, which would stay a zombie otherwise."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _command_line(pid: int) -> str | None:
    """The arguments of a process, empty for the moment of its start and end; None if it is gone or a zombie."""
    if Path("/proc/self").exists():
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            return None
        return None if state in "ZX" else arguments.decode(errors="replace")
    answer = subprocess.run(
        ["ps", "-o", "stat=,command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return None if answer.returncode != 0 or answer.stdout.startswith("Z") else answer.stdout
