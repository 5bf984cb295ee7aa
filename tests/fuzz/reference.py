"""The reference allocator as a program: built once from the Go module beside this file, asked one JSON case a line."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kai_sched.localcluster.build import build_missing
from kai_sched.localcluster.folders import cache_folder

MODULE = Path(__file__).with_name("allocator")
NAME = "reference-allocator"


def build_reference() -> Path:
    """The program; built into the user's cache unless it is there for these very sources."""
    digest = hashlib.sha256(
        b"".join((MODULE / part).read_bytes() for part in ("go.mod", "go.sum", "main.go"))
    )
    folder = cache_folder() / "bin" / f"fuzz-{digest.hexdigest()[:12]}"
    if not os.access(folder / NAME, os.X_OK):
        build_missing({NAME: "."}, folder, MODULE)
    return folder / NAME


class Reference:
    """A running program."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def answer(self, case: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))


@contextmanager
def a_reference() -> Iterator[Reference]:
    """Runs the program for the length of a ``with``."""
    with subprocess.Popen(
        [build_reference()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Reference(process)
        finally:
            process.kill()
