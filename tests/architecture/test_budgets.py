"""Rules about the code itself: file sizes, module docstrings, waivers, banned words."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "kai_sched").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MOST_LINES = 400
MOST_WAIVERS = 42
BANNED_NAMES = {"utils", "util", "common", "helpers", "base_manager", "manager", "misc"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for_and_stays_small(path: Path):
    text = path.read_text()

    assert ast.get_docstring(ast.parse(text)), "no module docstring"
    assert len(text.splitlines()) <= MOST_LINES


def test_no_module_has_a_name_that_says_nothing():
    assert [path for path in MODULES if path.stem in BANNED_NAMES or path.parent.name in BANNED_NAMES] == []


def test_waivers_are_few_and_reasoned():
    waivers = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in MODULES
        for line in path.read_text().splitlines()
        if re.search(r"#\s*(noqa|type:\s*ignore)", line)
    ]

    assert [waiver for waiver in waivers if re.search(r"#\s*noqa\s*$", waiver)] == []
    assert len(waivers) <= MOST_WAIVERS, "\n".join(waivers)


def test_every_test_file_holds_an_assertion():
    silent = [
        str(path.relative_to(ROOT))
        for path in TESTS
        if path.name.startswith("test_")
        and not re.search(
            r"\bassert\b|pytest\.raises|assert_clean|expect_|\.check\(|given\(", path.read_text()
        )
    ]

    assert silent == []
