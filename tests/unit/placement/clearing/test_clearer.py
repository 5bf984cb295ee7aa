"""A search for who has to leave changes the world only where it ends well, and keeps to its budget and to the rights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from kai_sched.devices.work import OutOfWork
from kai_sched.model.policy import Policy
from kai_sched.placement.clearing.clear import Clearer
from kai_sched.placement.clearing.units import Roster, Unit
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.seating.greedy import place_core
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.stays import stay_of
from kai_sched.planning.cycle_state import CycleState
from kai_sched.planning.opening import Opening
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec


class Everything:
    def take(self, _: Sequence[int]) -> bool:
        return True


class AtMost:
    """Rights for so many units."""

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self, units: Sequence[int]) -> bool:
        if len(units) > self.left:
            return False
        self.left -= len(units)
        return True


class Scene:
    """A node of eight GPUs: pods of these sizes hold them, each lost at this price; team/it wants so many."""

    def __init__(self, *held: tuple[int, int], wants: int) -> None:
        pods = [a_pod(f"r{number}", a_spec(gpus=gpus), node="n0") for number, (gpus, _) in enumerate(held)]
        self.state = CycleState.begin(
            Opening.of(
                a_snapshot(
                    nodes=[a_node("n0")],
                    pods=[*pods, a_pod("it", a_spec(gpus=wants))],
                    groups=[a_group("it"), *(a_group(f"r{number}") for number in range(len(held)))],
                ),
                Policy(),
                FleetCache(),
            )
        )
        self.world = self.state.boards.world
        base = self.world.base
        position = {pod.key: number for number, pod in enumerate(base.pods)}
        self.units = [
            Unit.of(f"r{number}", 0, [stay_of(base, position[f"team/r{number}"])], (price,))  # type: ignore[index]
            for number, (_, price) in enumerate(held)
        ]
        self.gang = self.state.records["team/it"].gang  # type: ignore[index]
        self.pod = position["team/it"]

    def clearer(self, taker: Callable[[], object] = Everything) -> Clearer:
        return Clearer(
            boards=self.state.boards,
            roster=Roster(self.units),
            may_ask=lambda _: True,
            seat=self.seat,
            taker=taker,  # type: ignore[arg-type]
            wanted=(self.world.base.shape_of(self.pod), 1),
        )

    def seat(self, ground: Ground) -> Refusal | None:
        return place_core(ground, self.gang)

    def left(self) -> list[str]:
        return sorted(str(self.world.base.pods[stay].key) for stay in self.world.leaving)


def test_those_leave_who_cost_least_together():
    scene = Scene((4, 5), (2, 2), (2, 2), wants=4)

    found = scene.clearer().clear()

    assert found is not None
    assert found.loss == (4,)
    assert scene.left() == ["team/r1", "team/r2"]
    assert [seat.pod for seat in scene.world.seats] == [scene.pod]


def test_who_gives_more_for_its_price_leaves_where_that_costs_less():
    scene = Scene((4, 5), (1, 2), (1, 2), (1, 2), (1, 2), wants=4)

    found = scene.clearer().clear()

    assert found is not None
    assert (found.loss, scene.left()) == ((5,), ["team/r0"])


def test_who_has_room_beside_the_newcomer_stays():
    scene = Scene((1, 1), (7, 9), wants=7)

    found = scene.clearer().clear()

    assert found is not None
    assert scene.left() == ["team/r1"]


def test_nothing_changes_where_nobody_can_make_enough_room():
    scene = Scene((4, 1), (4, 1), wants=9)
    before = scene.world.later.free.copy()

    assert scene.clearer().clear() is None

    assert scene.left() == []
    assert not scene.world.journal
    assert (scene.world.later.free == before).all()


def test_rights_that_do_not_reach_so_far_take_nothing():
    scene = Scene(*[(1, 1)] * 8, wants=3)

    assert scene.clearer(lambda: AtMost(2)).clear() is None
    assert (scene.left(), scene.world.journal) == ([], [])
    assert scene.clearer(lambda: AtMost(3)).clear() is not None


def test_what_rights_reach_is_taken_where_the_cheapest_is_out_of_reach():
    scene = Scene((4, 9), *[(1, 1)] * 4, wants=4)

    found = scene.clearer(lambda: AtMost(1)).clear()

    assert found is not None
    assert scene.left() == ["team/r0"]


def test_a_search_ends_with_its_allowance():
    scene = Scene(*[(1, 1)] * 8, wants=3)

    with pytest.raises(OutOfWork), scene.world.base.meter.turn(5):
        scene.clearer().clear()
