"""The reduction: a world as a small problem, and an arrangement of it back on nodes."""

from __future__ import annotations

from kai_sched.placement.reduction.realise import movable_of, realise, seat_nodes, size_of, without
from kai_sched.placement.reduction.reduction import reduce_world
from kai_sched.placement.seating.greedy import place_core
from kai_sched.placement.solver.aggregate import Arrangement, lacks_room
from kai_sched.placement.solver.arrange import fit_all
from kai_sched.placement.solver.cpsat import Limits
from tests.builders import racks
from tests.unit.placement.stage import gangs_on

LIMITS = Limits(seed=1, deterministic_time=1.0)


def test_nodes_alike_are_one_unit_unless_each_is_asked_for():
    stage = gangs_on(racks(2, 4), g=(2, 4, ""))

    together = reduce_world(stage.boards, [stage.tenant("g")])
    single = reduce_world(stage.boards, [stage.tenant("g")], by_node=True)

    assert len(together.problem.units) < len(single.problem.units) == 8
    assert sum(len(nodes) for nodes in together.nodes) == 8
    assert size_of(together.problem) < size_of(single.problem)


def test_a_level_keeps_its_domains_apart():
    stage = gangs_on(racks(3, 2), g=(2, 8, "rack"))

    reduction = reduce_world(stage.boards, [stage.tenant("g")])

    assert len(reduction.problem.units) >= 3
    for nodes in reduction.nodes:
        assert len({stage.world.base.table.nodes[node].name[:2] for node in nodes}) == 1


def test_more_than_there_is_lacks_room_by_counting():
    assert lacks_room(
        reduce_world((stage := gangs_on(racks(1, 2), g=(3, 8, ""))).boards, [stage.tenant("g")]).problem
    )
    assert lacks_room(
        reduce_world((stage := gangs_on(racks(2, 2), g=(3, 8, "rack"))).boards, [stage.tenant("g")]).problem
    )
    assert not lacks_room(
        reduce_world((stage := gangs_on(racks(2, 2), g=(4, 8, ""))).boards, [stage.tenant("g")]).problem
    )


def test_what_the_solver_arranges_can_be_seated_on_nodes():
    stage = gangs_on(racks(2, 2), g=(2, 8, "rack"), h=(2, 8, "rack"))
    tenants = [stage.tenant("g"), stage.tenant("h")]
    reduction = reduce_world(stage.boards, tenants)
    fit = fit_all(reduction.problem, LIMITS)
    assert fit.arrangement is not None

    assert realise(stage.boards, reduction, fit.arrangement)

    seated = stage.seated()
    assert len(seated) == 4
    assert {seated["g-0"][:2], seated["g-1"][:2]} | {seated["h-0"][:2], seated["h-1"][:2]} == {"r0", "r1"}


def test_an_arrangement_that_rules_forbid_is_not_realised():
    stage = gangs_on(racks(1, 1), g=(2, 8, ""))
    reduction = reduce_world(stage.boards, [stage.tenant("g")], by_node=True)
    wrong = Arrangement(admitted=(1,), pods={(0, 0): ((0, 2),)})

    assert not realise(stage.boards, reduction, wrong)


def test_where_pods_are_now_is_a_starting_point_for_the_solver():
    stage = gangs_on(racks(2, 1), g=(2, 8, ""))
    tenant = stage.tenant("g")
    reduction = reduce_world(stage.boards, [tenant], by_node=True)
    assert place_core(stage.ground, stage.gang("g")) is None
    nodes = seat_nodes(stage.world)

    arrangement = reduction.arrangement_of(nodes.get, len(stage.world.base.all_nodes))

    assert sum(count for _, count in arrangement.pods[0, 0]) == 2
    assert len(arrangement.pods[0, 0]) == 2


def test_a_world_without_some_tenants_has_their_room():
    stage = gangs_on(racks(1, 2), g=(1, 8, ""), h=(1, 8, ""))
    for name in "gh":
        assert place_core(stage.ground, stage.gang(name)) is None

    bare = without(stage.boards, [stage.tenant("g")])

    assert [seat.pod for seat in bare.world.seats] == [stage.pod("h-0")]
    assert len(stage.world.seats) == 2
    assert len(movable_of(stage.boards, [stage.tenant("g"), stage.tenant("h")])) == 2
