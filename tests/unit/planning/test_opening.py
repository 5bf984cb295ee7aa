"""A cycle is opened once, and nothing that a run of its stages does changes what the next one begins with."""

from __future__ import annotations

import pytest

from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.planning import cycle
from kai_sched.planning.cycle import Deciding
from kai_sched.planning.cycle_state import CycleState
from kai_sched.planning.opening import Opening
from kai_sched.planning.stages import STAGES
from tests.builders import a_group, a_node, a_pod, a_queue, a_snapshot, a_spec

TREE = (a_queue("dept", parent=None), a_queue("team-a", limit=4))


def crowded() -> ClusterSnapshot:
    """Greedy seats the small gang where the large one, which comes later, could have been."""
    pods = [a_pod(f"small-{one}", a_spec(gpus=1), group="small") for one in range(2)]
    pods += [a_pod(f"large-{one}", a_spec(gpus=2), group="large") for one in range(2)]
    groups = [
        a_group("small", min_member=2, priority=60, created_at=1.0),
        a_group("large", min_member=2, required="rack", created_at=2.0),
    ]
    nodes = [a_node(f"n{one}", gpus=2, labels={"rack": f"r{one // 2}"}) for one in range(3)]
    return a_snapshot(nodes=nodes, pods=pods, groups=groups)


def test_a_run_leaves_the_opening_as_it_was():
    snapshot = a_snapshot(
        nodes=[a_node("a")],
        pods=[a_pod(f"p{one}", a_spec(gpus=2), group="g") for one in range(2)],
        groups=[a_group("g", min_member=2)],
        queues=TREE,
    )
    opening = Opening.of(snapshot, Policy(), FleetCache())
    free = opening.world.now.free.copy()

    first, second = (CycleState.begin(opening) for _ in range(2))
    for run in STAGES.values():
        run(first)

    assert len(first.boards.world.seats) == 2
    assert first.ledger.allocated("team-a").gpu == 4
    assert (opening.world.now.free == free).all()
    for untouched in (second.ledger, opening.ledger):
        assert untouched.allocated("team-a").gpu == 0
    assert second.boards.world.seats == opening.world.seats == []
    assert second.records["team/g"].placed == []
    for run in STAGES.values():
        run(second)
    assert [(seat.pod, seat.node) for seat in second.boards.world.seats] == [
        (seat.pod, seat.node) for seat in first.boards.world.seats
    ]


def test_a_cycle_that_is_improved_is_opened_once(monkeypatch: pytest.MonkeyPatch):
    opened: list[ClusterSnapshot] = []
    honest = Opening.of.__func__  # type: ignore[attr-defined]

    def counted(cls: type[Opening], snapshot: ClusterSnapshot, *rest: object) -> Opening:
        opened.append(snapshot)
        return honest(cls, snapshot, *rest)

    monkeypatch.setattr(cycle.Opening, "of", classmethod(counted))
    plans = list(Deciding(crowded(), Policy()).plans())

    assert len(plans) > 2
    assert len(opened) == 1
