"""Builds binaries from Go modules (the control plane's is beside this file) once for all runs of a user, with progress."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.status import Status

from kai_sched.errors import ControlPlaneError
from kai_sched.localcluster.folders import GO_MODULE
from kai_sched.localcluster.recipe import LINKER_FLAGS
from kai_sched.localcluster.toolchain import find_go

_LINE_EVERY_SECONDS = 15.0
"""How often a log without a terminal gets a sign of life."""


def build_missing(packages: Mapping[str, str], folder: Path, module: Path = GO_MODULE) -> None:
    """Builds ``name -> Go package`` of a module into ``folder``. A second run waits for the first and builds nothing again."""
    console = Console(stderr=True)
    folder.mkdir(parents=True, exist_ok=True)
    with _only_builder(folder, console):
        missing = {name: package for name, package in packages.items() if not (folder / name).exists()}
        if not missing:
            return
        go = find_go()
        console.print(f"building {', '.join(missing)} once into {folder}", highlight=False, soft_wrap=True)
        for number, (name, package) in enumerate(missing.items(), start=1):
            progress = _Progress(console, f"{name} ({number} of {len(missing)})")
            _build(go, (module, package), folder / name, progress)


@contextmanager
def _only_builder(folder: Path, console: Console) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("another run is building: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(go: Path, source: tuple[Path, str], target: Path, progress: _Progress) -> None:
    """Builds into a temporary name first: a binary under its own name is always whole."""
    module, package = source
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as scratch:
        made = Path(scratch) / target.name
        command = [
            str(go),
            "build",
            "-v",
            "-trimpath",
            "-mod=readonly",
            "-ldflags",
            LINKER_FLAGS,
            "-o",
            str(made),
        ]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        with subprocess.Popen(
            [*command, package],
            cwd=module,
            env=environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                complaints = progress.follow(process)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode != 0:
            last = "; ".join(complaints[-3:]) or "no output"
            raise ControlPlaneError(f"go build {package} failed with code {process.returncode}: {last}")
        made.replace(target)


@dataclass
class _Progress:
    """Tells what a build is doing: one living line on a terminal, now and then a line elsewhere."""

    console: Console
    label: str
    downloaded: int = 0
    compiled: int = 0

    def follow(self, process: subprocess.Popen[str]) -> list[str]:
        """Reads the build's output to its end; returns the lines that are neither download nor package."""
        complaints: list[str] = []
        assert process.stderr is not None
        reader = threading.Thread(target=self._read, args=(process.stderr, complaints), daemon=True)
        started = time.monotonic()
        reader.start()
        if self.console.is_terminal:
            with self.console.status("") as status:
                self._animate(reader, status, started)
        else:
            self._print_lines(reader, started)
        reader.join()
        process.wait()
        self.console.print(f"  {self._text(started)}", highlight=False)
        return complaints

    def _read(self, stream: IO[str], complaints: list[str]) -> None:
        for line in stream:
            text = line.strip()
            if text.startswith("go: downloading"):
                self.downloaded += 1
            elif text and " " not in text and not text.startswith("#"):
                self.compiled += 1
            elif text:
                complaints.append(text)

    def _animate(self, reader: threading.Thread, status: Status, started: float) -> None:
        while reader.is_alive():
            status.update(self._text(started))
            reader.join(0.25)

    def _print_lines(self, reader: threading.Thread, started: float) -> None:
        next_line = started
        while reader.is_alive():
            if time.monotonic() >= next_line:
                self.console.print(f"  {self._text(started)} ...", highlight=False)
                next_line += _LINE_EVERY_SECONDS
            reader.join(0.25)

    def _text(self, started: float) -> str:
        minutes, seconds = divmod(int(time.monotonic() - started), 60)
        return (
            f"{self.label}  {minutes}:{seconds:02d}  "
            f"{self.downloaded} modules downloaded, {self.compiled} packages compiled"
        )
