"""Backlog: who was not reached goes first, who took too much pauses longer each time, and nobody starves."""

from __future__ import annotations

from dataclasses import replace

from kai_sched.model.ids import PodGroupKey, QueueName
from kai_sched.model.plan import Blocker, Outcome, Plan, TurnEnd, Verdict
from kai_sched.model.policy import Policy, SolverBudget
from kai_sched.planning.backlog import PAUSES_SECONDS, Backlog
from kai_sched.planning.cycle import plan_cycle
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec


def waiting(group: str, message: str = "no room") -> Verdict:
    return Verdict(
        pod_group=PodGroupKey(group),
        queue=QueueName("q"),
        outcome=Outcome.UNPLACED,
        blocker=Blocker.CAPACITY,
        message=message,
    )


def a_plan(now: float, *verdicts: Verdict, **ends: TurnEnd) -> Plan:
    turns = tuple((PodGroupKey(group), end) for group, end in sorted(ends.items()))
    return Plan(now=now, verdicts=verdicts, turns=turns)


def groups_of(backlog: Backlog) -> list[str]:
    return [one.pod_group for one in backlog.postponed()]


def test_nothing_is_postponed_where_all_had_their_turn():
    assert Backlog().after(a_plan(0, waiting("a"), waiting("b"))).postponed() == ()


def test_those_served_rest_until_the_others_had_their_turn():
    first = Backlog().after(a_plan(0, waiting("a"), waiting("b"), b=TurnEnd.NOT_REACHED))
    second = first.after(a_plan(1, waiting("a"), waiting("b"), a=TurnEnd.RESTED))
    third = second.after(a_plan(2, waiting("a"), waiting("b")))

    assert groups_of(first) == ["a"]
    assert groups_of(second) == ["b"]
    assert groups_of(third) == []


def test_who_took_too_much_pauses_longer_each_time_and_keeps_its_verdict():
    backlog, now = Backlog(), 0.0
    for pause in (*PAUSES_SECONDS, PAUSES_SECONDS[-1]):
        backlog = backlog.after(a_plan(now, waiting("a", "too much"), a=TurnEnd.SPENT))
        (one,) = backlog.postponed()
        assert one.not_before == now + pause
        backlog = backlog.after(a_plan(now + pause / 2, waiting("a", "too much"), a=TurnEnd.RESTED))
        assert backlog.postponed() == (one,)
        assert one.verdict.message == "too much"
        now += pause


def test_who_got_an_answer_or_is_gone_is_forgotten():
    backlog = Backlog().after(a_plan(0, waiting("a"), waiting("b"), a=TurnEnd.SPENT, b=TurnEnd.SPENT))

    assert backlog.after(a_plan(9, waiting("a"))).postponed() == ()


def test_every_gang_that_can_never_be_placed_has_its_turn_in_the_end():
    """More of them than a cycle reaches, none of which leaves the queue by being placed."""
    count = 60
    groups = [a_group(f"g{number:02d}", created_at=float(number)) for number in range(count)]
    pods = [
        a_pod(f"p{number:02d}", a_spec(gpus=9 + number), group=f"g{number:02d}") for number in range(count)
    ]
    snapshot = a_snapshot(nodes=[a_node("n")], pods=pods, groups=groups)
    policy = Policy(use_solver=False, solver=SolverBudget(work=2_000))
    backlog, reached, cycles = Backlog(), set(), 0
    while len(reached) < count:
        cycles += 1
        assert cycles <= 20
        plan = plan_cycle(replace(snapshot, postponed=backlog.postponed()), policy)
        ends = dict(plan.turns)
        reached |= {verdict.pod_group for verdict in plan.verdicts if verdict.pod_group not in ends}
        backlog = backlog.after(plan)

    assert cycles > 1
