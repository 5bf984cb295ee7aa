"""Telling prospects takes turns: however often it is cut short, everybody who waits is reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.planning.cycle import Deciding, plan_cycle
from kai_sched.planning.outlook.rota import FRESH_SECONDS, Rota
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec

GANGS = tuple(f"g{number}" for number in range(6))


def a_world() -> ClusterSnapshot:
    """Six gangs that wait, each of another size."""
    return a_snapshot(
        nodes=[a_node("n1")],
        pods=[a_pod(name, a_spec(gpus=9 + number)) for number, name in enumerate(GANGS)],
        groups=[a_group(name) for name in GANGS],
    )


def patience_of(questions: int) -> Callable[[], bool]:
    """Somebody waits after so many questions."""
    asked = iter(range(questions))
    return lambda: next(asked, None) is None


def told_of(rota: Rota, world: ClusterSnapshot | None = None) -> set[PodGroupKey]:
    deciding = Deciding(world or a_world(), Policy())
    list(deciding.plans())
    return {one.pod_group for one in deciding.told(rota).verdicts if one.outlook is not None}


def test_whoever_was_not_reached_is_looked_at_first_the_next_time():
    rota = Rota()
    reached: list[set[PodGroupKey]] = []
    while sum(map(len, reached)) < len(GANGS):
        rota.is_over = patience_of(3)
        reached.append(told_of(rota))
        assert reached[-1], "in every cycle at least one of them is new"

    assert len(reached) > 1, "it was cut short"
    assert len(set().union(*reached[:-1])) == sum(map(len, reached[:-1])), "nobody twice before all were once"


def test_a_telling_that_is_over_before_it_begins_leaves_the_plan_as_it_was():
    deciding = Deciding(a_world(), Policy())
    list(deciding.plans())

    assert deciding.told(Rota(lambda: True)) is deciding.decided


def test_what_is_decided_does_not_depend_on_it():
    plan = plan_cycle(a_world(), Policy())
    rota = Rota(patience_of(7))
    told_of(rota)
    deciding = Deciding(a_world(), Policy())
    list(deciding.plans())

    assert (deciding.told(rota).binds, deciding.decided.solver) == (plan.binds, plan.solver)


def test_groups_that_no_longer_wait_are_forgotten():
    rota = Rota()
    rota.begin({PodGroupKey("team/a"), PodGroupKey("team/b")})
    rota.reached(PodGroupKey("team/a"), "full", 5.0)
    rota.begin({PodGroupKey("team/b")})
    rota.begin({PodGroupKey("team/a")})

    assert rota.last_of(PodGroupKey("team/a")) == 0


def test_what_was_found_out_a_short_while_ago_is_not_found_out_again():
    rota = Rota()
    world = a_world()

    assert len(told_of(rota, world)) == len(GANGS)
    assert told_of(rota, world) == set()
    assert told_of(rota, replace(world, now=world.now + FRESH_SECONDS - 1)) == set()
    assert len(told_of(rota, replace(world, now=world.now + FRESH_SECONDS))) == len(GANGS)


def test_another_reason_is_looked_into_at_once():
    rota = Rota()
    told_of(rota, a_world())
    smaller = replace(a_world(), fleet=Fleet(version=2, nodes=(a_node("n1", gpus=4),)))

    assert len(told_of(rota, smaller)) == len(GANGS)
