"""docs/reference/configuration.md lists every setting with its default, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from kai_sched.api.settings import Section, Settings

PAGE = Path(__file__).parents[3] / "docs/reference/configuration.md"


def leaves(model: type[Section], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Key, default and meaning of every setting."""
    for name, info in model.model_fields.items():
        key = f"{prefix}{info.alias or name}"
        if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            yield from leaves(info.annotation, f"{key}.")
        elif name not in {"api_version", "kind"}:
            default = info.get_default(call_default_factory=True, validated_data={})
            yield key, orjson.dumps(default).decode(), info.description or ""


def rows() -> list[str]:
    return [f"| `{key}` | `{default}` | {meaning} |" for key, default, meaning in leaves(Settings)]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split("`")[1])
def test_the_page_says_what_the_setting_says(row: str) -> None:
    assert row in PAGE.read_text().splitlines()


def test_the_page_has_no_setting_that_is_none() -> None:
    table = PAGE.read_text().partition("| key | default | meaning |")[2].partition("\n\n")[0]

    found = {row.split("`")[1] for row in re.findall(r"^\| `.*$", table, re.MULTILINE)}
    assert found == {key for key, _, _ in leaves(Settings)}
