"""Beside every hostile world of tests/hostile a bystander with room is bound soon, on one control plane, by one operator.

``make hostile`` measures all worlds, prints the figures and wants less than 2 s. Here a few of every sort stand for
them, and a case fails after 10 s only, so that a loaded machine fails nobody; ``KAI_SCHED_HOSTILE_SECONDS`` is another
limit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.wipe import wipe
from kai_sched.model.texts import MESSAGE
from tests.hostile.stage import Stage, staged
from tests.hostile.world import World
from tests.hostile.worlds import WORLDS

MOST_SECONDS = float(os.environ.get("KAI_SCHED_HOSTILE_SECONDS", "10"))
SAMPLE = (
    "a-megabyte-of-affinity",
    "a-megabyte-of-labels",
    "counts-of-two-to-the-63",
    "partitions-with-huge-names",
    "escapes-for-terminals",
    "forged-groups-of-gpus",
    "subgroups-four-hundred-deep",
    "subgroups-in-a-circle",
    "bindings-that-are-refused",
    "patterns-that-explode",
)


@pytest.fixture(scope="module")
def stage(control_plane: LocalCluster) -> Iterator[Stage]:
    try:
        with staged(control_plane) as made:
            yield made
    finally:
        wipe(control_plane.api)


@pytest.mark.parametrize("world", [world for world in WORLDS if world.name in SAMPLE], ids=str)
def test_a_bystander_is_bound_soon_beside(stage: Stage, world: World) -> None:
    found = stage.measure(world)

    assert found.created
    assert found.seconds < MOST_SECONDS
    assert [text for text in found.told if len(text) > MESSAGE] == []
