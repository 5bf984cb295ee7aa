"""README's "Use it", run as it is printed, on a cluster of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kai_sched.localcluster.binaries import CONTROL_PLANE, Tool, ensure

ROOT = Path(__file__).parents[2]


def block_below(title: str) -> str:
    """The first block of commands below a heading."""
    text = (ROOT / "README.md").read_text()
    found = re.search(rf"^## {title}$.*?^```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found.group(1)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool, path in ensure((*CONTROL_PLANE, Tool.KUBECTL)).items():
        (tools / tool.value).symlink_to(path)
    for name in ("examples", "crds", "manifests"):
        (tmp_path / name).symlink_to(ROOT / name)
    script = "set -euo pipefail\n" + block_below("Use it").replace("kill %1", "kill $!")

    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{tools}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path),
        "KUBEBUILDER_ASSETS": str(tools),
        # Other operators of this machine may listen where it would.
        "KAI_SCHED_PORTS_METRICS": "0",
        "KAI_SCHED_PORTS_HEALTH": "0",
    }
    try:
        ended = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        subprocess.run(["kai-sched", "dev", "down", "--all"], env=environment, check=True)

    log = (tmp_path / "operator.log").read_text()
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}\n{log[-2000:]}"
    assert "default-queue" in ended.stdout
    assert "train-llm" in ended.stdout
    assert "is gone" in ended.stderr
    assert log
