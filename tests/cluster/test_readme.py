"""README's "Use it", run as it is printed, on a cluster of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cluster.shell import ROOT, a_shell


def block_below(title: str) -> str:
    """The first block of commands below a heading."""
    text = (ROOT / "README.md").read_text()
    found = re.search(rf"^## {title}$.*?^```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found.group(1)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path) -> None:
    with a_shell(tmp_path) as shell:
        ended = shell.run(block_below("Use it").replace("kill %1", "kill $!"))

    assert ended.returncode == 0, shell.told(ended)
    assert "default-queue" in ended.stdout
    assert "train-llm" in ended.stdout
    assert "is gone" in ended.stderr
    assert (tmp_path / "operator.log").read_text()
