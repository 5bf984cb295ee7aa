"""Of a refused plan everything is kept that passes the check; what is left out hears why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from kai_sched.model.ids import NodeName, PodGroupKey, QueueName
from kai_sched.model.plan import Blocker, Outcome, Placement, Plan, Verdict
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.checker import Violation, ViolationKind
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.checks.salvage import Check, salvage
from tests.builders import NOW, a_group, a_node, a_pod, a_queue, a_snapshot, a_spec

NOBODY = a_snapshot()


def a_plan(*groups: str, pods: int = 2) -> Plan:
    """Binds ``pods`` pods of each group."""
    binds = tuple(
        Placement(
            pod=(pod := a_pod(f"{name}-{number}", group=name)).key,
            uid=pod.uid,
            pod_group=PodGroupKey(f"team/{name}"),
            node=NodeName("n1"),
        )
        for name in groups
        for number in range(pods)
    )
    verdicts = tuple(
        Verdict(pod_group=PodGroupKey(f"team/{name}"), queue=QueueName("team-a"), outcome=Outcome.PLACED)
        for name in groups
    )
    return Plan(now=NOW, binds=binds, verdicts=verdicts)


def refusing(is_wrong: Callable[[set[str]], bool]) -> Check:
    """A check that finds one violation in plans whose groups, by name, are wrong together."""

    def check(_snapshot: ClusterSnapshot, _policy: Policy, plan: Plan) -> Sequence[Violation]:
        wrong = is_wrong({place.pod_group.removeprefix("team/") for place in plan.binds})
        return [Violation(ViolationKind.NODE_RESOURCES, "n1", "too much")] if wrong else []

    return check


def kept(plan: Plan | None) -> list[str]:
    assert plan is not None
    return list(dict.fromkeys(place.pod_group.removeprefix("team/") for place in plan.binds))


def test_one_wrong_group_costs_itself_only() -> None:
    left = salvage(NOBODY, Policy(), a_plan("a", "b", "c"), refusing(lambda groups: "b" in groups))

    assert kept(left) == ["a", "c"]
    assert left is not None
    assert len(left.binds) == 4
    refused = left.verdicts[1]
    assert (refused.outcome, refused.blocker) == (Outcome.UNPLACED, Blocker.REFUSED)
    assert "node-resources: n1: too much" in refused.message
    assert left.verdicts[0].outcome is left.verdicts[2].outcome is Outcome.PLACED


def test_of_groups_that_are_wrong_together_the_first_stay() -> None:
    left = salvage(NOBODY, Policy(), a_plan("a", "b", "c"), refusing(lambda groups: len(groups) > 2))

    assert kept(left) == ["a", "b"]


def test_a_plan_of_wrong_groups_only_still_says_why_they_wait() -> None:
    left = salvage(NOBODY, Policy(), a_plan("a", "b"), refusing(bool))

    assert kept(left) == []
    assert left is not None
    assert {verdict.blocker for verdict in left.verdicts} == {Blocker.REFUSED}


def test_nothing_is_kept_where_even_a_plan_that_does_nothing_is_refused() -> None:
    assert salvage(NOBODY, Policy(), a_plan("a"), refusing(lambda _: True)) is None


def test_the_first_groups_up_to_a_limit_stay_by_the_real_check() -> None:
    pods = [a_pod(f"{name}-0", a_spec(gpus=4), group=name) for name in ("a", "b", "c")]
    queues = [a_queue("dept", parent=None), a_queue("team-a", limit=8)]
    groups = [a_group(name) for name in ("a", "b", "c")]
    snapshot = a_snapshot(nodes=[a_node("n1", gpus=16)], pods=pods, groups=groups, queues=queues)
    plan = a_plan("a", "b", "c", pods=1)
    assert PlanChecker()(snapshot, Policy(), plan)

    left = salvage(snapshot, Policy(), plan, PlanChecker())

    assert kept(left) == ["a", "b"]
    assert left is not None
    assert PlanChecker()(snapshot, Policy(), left) == ()
    assert "queue-limit: team-a: gpu: 0 allocated + 12 planned > 8" in left.verdicts[2].message


@given(st.integers(0, 40), st.sets(st.integers(0, 39), max_size=3), st.integers(0, 64))
def test_what_is_kept_passes_and_only_wrong_groups_are_lost_while_checks_last(
    size: int, wrong: set[int], most_checks: int
) -> None:
    names = [f"g{number}" for number in range(size)]
    culprits = {f"g{number}" for number in wrong}
    asked = 0

    def is_wrong(groups: set[str]) -> bool:
        nonlocal asked
        asked += 1
        return bool(groups & culprits)

    left = salvage(NOBODY, Policy(), a_plan(*names), refusing(is_wrong), most_checks=most_checks)

    assert asked <= most_checks
    if left is None:
        assert most_checks == 0
        return
    assert not culprits.intersection(kept(left))
    if most_checks == 64:
        assert kept(left) == [name for name in names if name not in culprits]
