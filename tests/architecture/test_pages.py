"""The pages against the code: the tree that they show exists, links lead somewhere, commands that they name exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from kai_sched.cli.app import Commands, app
from kai_sched.model.plan import Blocker

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


CODE = "\n".join(path.read_text() for path in sorted((ROOT / "kai_sched").rglob("*.py")))
TOOLS = "\n".join(
    path.read_text()
    for folder in ("benchmarks", "tests")
    for path in sorted((ROOT / folder).rglob("__main__.py"))
)
TODAY = [page for page in PAGES if page.parent.name != "decisions"]
"""Decisions are history: what they name may be gone."""


def options_of(command: Any) -> set[str]:
    """Of a command and those below it."""
    own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    names = command.list_commands(None) if hasattr(command, "list_commands") else []
    return own.union(*(options_of(command.get_command(None, name)) for name in names), {"--help"})


@pytest.mark.parametrize("page", TODAY, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_that_a_page_names_exist(page: Path):
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+\b", page.read_text()))

    assert {option for option in named - options_of(get_command(app)) if f'"{option}' not in TOOLS} == set()


@pytest.mark.parametrize("page", TODAY, ids=lambda page: str(page.relative_to(ROOT)))
def test_metrics_that_a_page_names_exist(page: Path):
    named = set(re.findall(r"\bkai_sched_[a-z_]+\b", page.read_text()))

    assert {name for name in named if f'"{name.removesuffix("_total")}' not in CODE} == set()


def test_the_page_of_concepts_explains_every_blocker_and_no_other():
    text = (ROOT / "docs/concepts.md").read_text()
    explained = set(
        re.findall(r"^\| `?([A-Z]\w+)`? \|", text.split("## Blockers")[1].split("\n## ")[0], re.MULTILINE)
    )

    assert explained == {blocker.value for blocker in Blocker}


def keys_of(value: object) -> set[str]:
    """All keys of a document, however deep."""
    if isinstance(value, dict):
        return {*value, *(key for below in value.values() for key in keys_of(below))}
    return {key for below in value for key in keys_of(below)} if isinstance(value, list) else set()


@pytest.mark.parametrize("page", TODAY, ids=lambda page: str(page.relative_to(ROOT)))
def test_documents_that_a_page_shows_can_be_read_and_have_keys_that_are_written(page: Path):
    shown = [
        json.loads(block)
        for block in re.findall(r"^```json\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    ]

    assert {
        key for document in shown for key in keys_of(document) if not re.search(rf'"{key}"|\b{key}=', CODE)
    } == set()
