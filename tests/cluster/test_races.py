"""The races of the benchmarks run, small: both schedulers bind every pod with one binding each, and break no rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from benchmarks.claims.live_ways import WAYS
from benchmarks.controlplane.__main__ import fleet, one_gpu_pods
from benchmarks.controlplane.arena import Round, open_arena
from benchmarks.controlplane.rivals import KubeScheduler, OurOperator

RIVALS = (KubeScheduler(), OurOperator())
pytestmark = pytest.mark.timeout(300)


def check(rounds: Iterable[Round], pods: int) -> None:
    for one in rounds:
        assert (one.rival, one.pods, one.refused_binds, one.violations) == (one.rival, pods, 0, ())
        assert one.seconds > 0
        assert one.writes_per_pod["POST pods/binding"] == 1.0


def test_pods_of_one_gpu_are_bound_by_one_write_each() -> None:
    with open_arena(fleet(2), RIVALS) as arena:
        rounds = [arena.race(rival, [], list(one_gpu_pods(16, rival))) for rival in RIVALS]

    check(rounds, 16)
    ours = rounds[1].writes_per_pod
    assert {what for what in ours if "pods" in what} == {"POST pods/binding", "PATCH pods/status"}
    # The fake kubelet's, and none of ours.
    assert ours["PATCH pods/status"] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("way", WAYS[1:], ids=lambda way: way.name)
def test_pods_with_claims_are_bound_in_every_way_of_asking(way: Any) -> None:
    with open_arena(list(way.fleet(2)), RIVALS) as arena:
        rounds = [
            arena.race(rival, [*way.claims(2), *way.groups(2, rival)], list(way.pods(2, rival)))
            for rival in RIVALS
        ]

    check(rounds, 2 * way.claims_a_node * way.pods_a_claim)
