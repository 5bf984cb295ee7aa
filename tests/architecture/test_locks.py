"""The lock files against each other and against what the package asks for."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pins(path: str) -> set[tuple[str, str]]:
    """Name and exact version of each package of a lock file."""
    return set(re.findall(r"^([\w.-]+)==([\w.+-]+)", (ROOT / path).read_text(), re.MULTILINE))


def test_the_image_holds_only_versions_that_the_tests_ran_with():
    image = pins("manifests/requirements.lock")

    assert image
    assert image <= pins("requirements.lock")


def test_the_image_holds_what_the_package_needs_and_no_test_tool():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tools = {re.match(r"[\w.-]+", name)[0] for name in project["optional-dependencies"]["dev"]} - {
        "setuptools"
    }
    needed = {re.match(r"[\w.-]+", name)[0] for name in project["dependencies"]}
    names = {name for name, _ in pins("manifests/requirements.lock")}

    assert needed <= names
    assert names.isdisjoint(tools)
