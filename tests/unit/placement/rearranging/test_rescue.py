"""Rescue: room for one gang more by moving what this cycle seated, or the proof that there is none."""

from __future__ import annotations

from kai_sched.model.policy import SolverBudget
from kai_sched.placement.rearranging.rescue import Refuted, Rescue
from kai_sched.placement.reduction.effort import Effort
from kai_sched.placement.world.boards import Boards
from tests.builders import a_node, racks
from tests.unit.placement.stage import Stage, gangs_on


def a_rescue(stage: Stage) -> tuple[Rescue, Effort]:
    effort = Effort(SolverBudget(), len(stage.snapshot.fleet.nodes))
    return Rescue(stage.world.fork(), effort), effort


def test_seats_move_so_that_a_gang_fits_and_nobody_is_dropped():
    stage = gangs_on(racks(2, 1), big=(1, 8, ""), s=(2, 4, ""))
    rescue, effort = a_rescue(stage)
    for pod, node in (("s-0", "r0-n00"), ("s-1", "r1-n00")):
        stage.seat(pod, node)

    found = rescue.rescue(stage.boards, [stage.tenant("s")], stage.tenant("big"))

    assert isinstance(found, Boards)
    seats = {seat.pod: seat.node for seat in found.world.seats}
    assert len(seats) == 3
    assert seats[stage.pod("s-0")] == seats[stage.pod("s-1")] != seats[stage.pod("big-0")]
    assert effort.models >= 1
    assert stage.seated() == {"s-0": "r0-n00", "s-1": "r1-n00"}, "the world that was asked stays as it was"


def test_more_than_the_cluster_has_is_refuted_with_a_proof_and_without_a_model():
    stage = gangs_on(racks(1, 2), g=(3, 8, ""))
    rescue, effort = a_rescue(stage)

    assert rescue.rescue(stage.boards, [], stage.tenant("g")) == Refuted(is_proof=True)
    assert effort.models == 0


def test_a_gang_larger_than_every_domain_is_refuted_by_counting():
    stage = gangs_on(racks(2, 2), g=(3, 8, "rack"))
    rescue, effort = a_rescue(stage)

    assert rescue.rescue(stage.boards, [], stage.tenant("g")) == Refuted(is_proof=True)
    assert effort.models == 0


def test_what_others_hold_in_full_is_refuted_with_a_proof():
    stage = gangs_on([a_node("a")], first=(1, 8, ""), second=(1, 1, ""))
    rescue, _ = a_rescue(stage)
    stage.seat("first-0", "a")

    assert rescue.rescue(stage.boards, [stage.tenant("first")], stage.tenant("second")) == Refuted(
        is_proof=True
    )


def test_a_gang_without_pods_to_seat_is_no_case_for_a_rescue():
    stage = gangs_on([a_node("a")], g=(1, 8, ""))
    rescue, _ = a_rescue(stage)
    nobody = type(stage.tenant("g"))(stage.gang("g"), ())

    assert rescue.rescue(stage.boards, [], nobody) == Refuted(is_proof=False)
