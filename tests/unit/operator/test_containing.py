"""A gang that makes deciding fail costs itself: the others are decided, and it rests until it changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from kai_sched.model.policy import Policy
from kai_sched.model.rests import Rest
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.operator.containing import LATE_BEFORE_SEARCH, MOST_PROBES, PAUSES, Containing
from kai_sched.planning.cycle import plan_cycle
from kai_sched.solving.process import TRIES
from kai_sched.solving.stats import Decision, Ending, SolvingStats
from tests.builders import a_group, a_node, a_pod, a_snapshot

POLICY = Policy(use_solver=False)
WORDS = "Traceback ...\nRecursionError: too deep"


@dataclass
class FailsOn:
    """Decides in process, unless one of these gangs is to be decided about; every failure takes its time."""

    groups: set[str]
    failure_seconds: float = 0.0
    ending: Ending = Ending.FAILED
    now: float = 0.0
    asked: list[int] = field(default_factory=list)
    stats: SolvingStats = field(default_factory=SolvingStats)

    def clock(self) -> float:
        return self.now

    async def decide(
        self, snapshot: ClusterSnapshot, policy: Policy, deadline_seconds: float, *, tries: int = 3
    ) -> Decision:
        self.asked.append(tries)
        resting = {rest.pod_group for rest in snapshot.rests}
        if self.groups & ({group.key for group in snapshot.pod_groups} - resting):
            self.now += self.failure_seconds
            return Decision(plan=None, ending=self.ending, reason=WORDS, sent_bytes=1)
        return Decision(plan=plan_cycle(snapshot, policy), ending=Ending.FINISHED)


def a_world(gangs: int = 9, **first: object) -> ClusterSnapshot:
    groups = [a_group("g0", **first), *(a_group(f"g{n}") for n in range(1, gangs))]
    return a_snapshot(
        nodes=[a_node(f"n{n}") for n in range(gangs)],
        pods=[a_pod(f"g{n}-0", group=f"g{n}") for n in range(gangs)],
        groups=groups,
    )


def placed(decision: Decision) -> set[str]:
    assert decision.plan is not None
    return {bind.pod_group for bind in decision.plan.binds}


def all_but(*names: str, gangs: int = 9) -> set[str]:
    return {f"team/g{n}" for n in range(gangs)} - {f"team/{name}" for name in names}


async def test_all_but_those_who_cause_it_are_decided_in_the_same_cycle():
    solver = FailsOn({"team/g2", "team/g7"})
    decision = await Containing(solver, solver.clock).decide(a_world(), POLICY, 5)

    assert placed(decision) == all_but("g2", "g7")
    assert (decision.ending, decision.reason) == (Ending.FAILED, WORDS)
    assert decision.plan is not None
    (message,) = {one.message for one in decision.plan.verdicts if one.pod_group in {"team/g2", "team/g7"}}
    assert message == "deciding about it failed: RecursionError: too deep"
    assert solver.asked[0] == TRIES
    assert set(solver.asked[1:]) == {1}


async def test_it_rests_for_growing_pauses_and_costs_the_others_nothing_meanwhile():
    solver = FailsOn({"team/g0"})
    contained = Containing(solver, solver.clock)
    for pause in (*PAUSES, PAUSES[-1]):
        await contained.decide(a_world(), POLICY, 5)
        asked = len(solver.asked)
        solver.now += pause - 1
        assert placed(await contained.decide(a_world(), POLICY, 5)) == all_but("g0")
        assert len(solver.asked) == asked + 1
        solver.now += 1

    solver.groups = set()
    assert placed(await contained.decide(a_world(), POLICY, 5)) == all_but()


async def test_it_is_decided_again_as_soon_as_it_changed():
    solver = FailsOn({"team/g0"})
    contained = Containing(solver, solver.clock)
    await contained.decide(a_world(), POLICY, 5)
    solver.groups = set()

    assert placed(await contained.decide(a_world(), POLICY, 5)) == all_but("g0")
    assert placed(await contained.decide(a_world(priority=70), POLICY, 5)) == all_but()


async def test_where_failing_takes_long_the_search_ends_and_goes_on_another_time():
    solver = FailsOn({"team/g0"}, failure_seconds=5.0, ending=Ending.DEADLINE)
    contained = Containing(solver, solver.clock)

    left_out = [64]
    while left_out[-1] > 1:
        for _ in range(LATE_BEFORE_SEARCH):
            assert (await contained.decide(a_world(gangs=64), POLICY, 5)).plan is None
        decision = await contained.decide(a_world(gangs=64), POLICY, 5)
        missing = all_but(gangs=64) - placed(decision)
        assert "team/g0" in missing
        left_out.append(len(missing))
        solver.now += PAUSES[-1]

    assert left_out == [64, 16, 4, 1]


async def test_the_number_of_probes_is_bounded():
    solver = FailsOn(all_but(gangs=64))
    decision = await Containing(solver, solver.clock).decide(a_world(gangs=64), POLICY, 5)

    assert placed(decision) == set()
    assert len(solver.asked) <= MOST_PROBES + 1


async def test_where_even_deciding_about_nobody_fails_that_is_the_answer():
    class Broken(FailsOn):
        async def decide(self, *_: object, **__: object) -> Decision:  # type: ignore[override]
            self.asked.append(0)
            return Decision(plan=None, ending=Ending.FAILED, reason="stage x is not built", sent_bytes=1)

    solver = Broken(set())
    decision = await Containing(solver, solver.clock).decide(a_world(), POLICY, 5)

    assert decision.plan is None
    assert decision.reason == "stage x is not built"
    assert len(solver.asked) == 2


async def test_gangs_that_rest_anyway_keep_their_own_reason():
    world = a_world()
    rest = Rest(pod_group=world.pod_groups[0].key, reason="refused")
    solver = FailsOn({"team/g1"})
    decision = await Containing(solver, solver.clock).decide(
        a_snapshot(nodes=world.fleet.nodes, pods=world.pods, groups=world.pod_groups, rests=(rest,)),
        POLICY,
        5,
    )

    assert placed(decision) == all_but("g0", "g1")
    assert decision.plan is not None
    assert decision.plan.verdicts[0].message == "refused"
