"""The pages against the code: the tree that they show exists, links lead somewhere, commands that they name exist."""

import re
from pathlib import Path

import pytest

from kai_sched.cli.app import Commands

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
TREE = ARCHITECTURE.split("## The tree")[1].split("```")[1]


def test_the_tree_names_every_package():
    packages = {path.parent.name for path in (ROOT / "kai_sched").glob("*/__init__.py")}

    assert packages == set(re.findall(r"^  (\w+)/", TREE.split("crds/")[0], re.MULTILINE))


def test_the_tree_names_nothing_that_is_not_there():
    names = re.findall(r"([\w.]+(?:/|\.py))(?=\s)", TREE)
    missing = [name for name in names if not list(ROOT.glob(f"**/{name.rstrip('/')}"))]

    assert names
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_commands_that_the_readme_shows_exist():
    commands = Commands.places
    shown = set(re.findall(r"^kai-sched (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))

    assert shown
    assert shown <= set(commands)


def test_targets_that_the_readme_shows_exist():
    makefile = (ROOT / "Makefile").read_text()
    shown = set(re.findall(r"make (\w+)", (ROOT / "README.md").read_text()))

    assert shown
    assert [target for target in shown if f"\n{target}:" not in makefile] == []
