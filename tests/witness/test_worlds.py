"""The worlds of the witness are the same at every draw, and nothing in them is unreadable."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kai_sched.cli.worlds import WorldOptions, load_world
from tests.witness.plans import NOW
from tests.witness.worlds import a_world


def test_a_seed_gives_the_same_world_again():
    assert json.dumps(a_world(7)) == json.dumps(a_world(7))
    assert json.dumps(a_world(7)) != json.dumps(a_world(8))


@pytest.mark.parametrize("seed", range(20))
def test_everything_in_a_world_is_readable(seed: int, tmp_path: Path):
    path = tmp_path / "world.json"
    path.write_text(json.dumps(a_world(seed)))

    snapshot = load_world([path], WorldOptions(now=NOW)).snapshot

    assert snapshot.unreadable == ()
    assert len(snapshot.pods) == sum(item["kind"] == "Pod" for item in a_world(seed)["items"])
