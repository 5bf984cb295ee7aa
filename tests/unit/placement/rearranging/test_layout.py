"""Layouts: what is counted as lying badly, the bound below it, and the way to it."""

from __future__ import annotations

from kai_sched.model.policy import SolverBudget
from kai_sched.placement.rearranging.layout import Layout, Ruler
from kai_sched.placement.rearranging.tidy import Tidying
from kai_sched.placement.reduction.effort import Effort
from kai_sched.placement.world.boards import Boards
from tests.builders import a_group, a_pod, a_snapshot, a_spec, racks
from tests.unit.placement.stage import Stage


def a_stage(count: int, gpus: int, *, racks_of: int = 2, preferred: str = "rack") -> Stage:
    pods = [a_pod(f"g-{number}", a_spec(gpus=gpus), group="g") for number in range(count)]
    group = a_group("g", min_member=count, preferred=preferred)
    return Stage(a_snapshot(nodes=racks(2, racks_of), pods=pods, groups=[group]))


def a_ruler(stage: Stage) -> Ruler:
    return Ruler(Boards(stage.world.fork()))


def test_domains_beyond_the_first_and_nodes_that_were_free_are_counted():
    stage = a_stage(2, 8)
    ruler = a_ruler(stage)
    stage.seat("g-0", "r0-n00")
    stage.seat("g-1", "r1-n00")

    assert ruler.layout(stage.world, [stage.tenant("g")]) == Layout(1, 2, 0)
    assert ruler.bound(stage.world, [stage.tenant("g")]) == Layout(0, 2, 0)


def test_the_bound_knows_what_no_domain_can_hold():
    stage = a_stage(3, 8)
    ruler = a_ruler(stage)
    for pod, node in (("g-0", "r0-n00"), ("g-1", "r0-n01"), ("g-2", "r1-n00")):
        stage.seat(pod, node)

    tenants = [stage.tenant("g")]
    assert ruler.layout(stage.world, tenants) == ruler.bound(stage.world, tenants) == Layout(1, 3, 0)


def test_domains_come_before_nodes():
    assert Layout(0, 9, 9) < Layout(1, 0, 0)
    assert Layout(1, 1, 9) < Layout(1, 2, 0)


def test_tidying_brings_a_gang_together_and_ends_where_nothing_is_left_to_gain():
    stage = a_stage(2, 8)
    ruler = a_ruler(stage)
    stage.seat("g-0", "r0-n00")
    stage.seat("g-1", "r1-n00")
    tidying = Tidying(stage.boards, [stage.tenant("g")], ruler, Effort(SolverBudget(), 4))

    *_, last = tidying.run()

    assert ruler.layout(last.world, tidying.tenants) == Layout(0, 2, 0)
    assert len(last.world.seats) == 2


def test_what_lies_as_well_as_it_can_costs_no_model():
    stage = a_stage(2, 4)
    ruler = a_ruler(stage)
    stage.seat("g-0", "r0-n00")
    stage.seat("g-1", "r0-n00")
    effort = Effort(SolverBudget(), 4)

    assert list(Tidying(stage.boards, [stage.tenant("g")], ruler, effort).run()) == []
    assert effort.models == 0
