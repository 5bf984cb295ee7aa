"""Commands of a page, run as they are printed: in a folder with the examples, on a cluster of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kai_sched.localcluster.binaries import CONTROL_PLANE, Tool, ensure

ROOT = Path(__file__).parents[2]
SHOWN_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Shell:
    """``folder``: where the commands are run."""

    folder: Path
    environment: dict[str, str]

    def run(self, script: str, seconds: float = 300.0) -> subprocess.CompletedProcess[str]:
        """A script, to its end or its first command that fails."""
        return subprocess.run(
            ["bash", "-c", f"set -euo pipefail\n{script}"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def told(self, ended: subprocess.CompletedProcess[str]) -> str:
        """What there is to say of a script that failed."""
        logs = "".join(path.read_text()[-SHOWN_CHARACTERS:] for path in self.folder.glob("*.log"))
        return f"{ended.stdout}\n{ended.stderr}\n{logs}"


@contextmanager
def a_shell(folder: Path) -> Iterator[Shell]:
    """A shell; the clusters that were started in it end with it."""
    tools = folder / "bin"
    tools.mkdir()
    for tool, path in ensure((*CONTROL_PLANE, Tool.KUBECTL)).items():
        (tools / tool.value).symlink_to(path)
    for name in ("examples", "crds", "manifests"):
        (folder / name).symlink_to(ROOT / name)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{tools}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(folder),
        "KUBEBUILDER_ASSETS": str(tools),
        # Other operators of this machine may listen where it would.
        "KAI_SCHED_PORTS_METRICS": "0",
        "KAI_SCHED_PORTS_HEALTH": "0",
    }
    try:
        yield Shell(folder, environment)
    finally:
        subprocess.run(["kai-sched", "dev", "down", "--all"], env=environment, check=True)
