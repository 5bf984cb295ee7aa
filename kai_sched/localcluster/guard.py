"""Ends a control plane whose owner died without doing so (SIGKILL): a small process that waits on a pipe.

Run as a program with the cluster's folder as argument. The owner holds the other end of standard input; when it
closes, be it by a clean exit or by death, whatever is still recorded in the folder is ended and the folder removed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from kai_sched.localcluster.processes import end_all
from kai_sched.localcluster.recipe import Layout


def start_guard(folder: Path) -> subprocess.Popen[bytes]:
    """Starts the guard of ``folder``; close its stdin to let it finish."""
    return subprocess.Popen(
        [sys.executable, "-m", "kai_sched.localcluster.guard", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def main(folder: Path) -> None:
    """Waits for the owner's end, then cleans up after it."""
    sys.stdin.buffer.read()
    if folder.exists():
        end_all(Layout(folder))
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
