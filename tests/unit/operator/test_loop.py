"""The loop by a clock that jumps: when cycles begin, what a failure costs, and who is tried again when."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from kai_sched.binder.outcomes import CommandOutcome, Result
from kai_sched.cluster.contained import Contained
from kai_sched.model.commands import BindGang, Command
from kai_sched.model.outlook import Outlook, Prospect
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.operator.loop import Crew, CycleLoop
from kai_sched.operator.pace import Pace
from kai_sched.operator.shard import ShardNotice
from kai_sched.planning.cycle import plan_cycle
from kai_sched.solving.messages import Prospects
from kai_sched.solving.stats import Decision, Ending, SolvingStats
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec
from tests.virtual_time import run_virtually

POLICY = Policy(use_solver=False, advice_units=0)
PACE = Pace()
WORDS = "pod team/doomed: 422 not today"


class Stage:
    """A loop on a world that stands still; the test plays the API server (``answer``) and the solver (``decide``)."""

    def __init__(self, clock: Callable[[], float], world: ClusterSnapshot) -> None:
        self.clock, self.world = clock, world
        self.wake = asyncio.Event()
        self.contained = Contained()
        self.seen: list[tuple[float, ClusterSnapshot]] = []
        self.deadlines: list[float] = []
        self.commands: list[tuple[float, Command]] = []
        self.told: list[Any] = []
        self.stats = SolvingStats()
        self.backlog = 0
        self.answer: Callable[[BindGang], CommandOutcome | None] = lambda _: None
        self.refuse: Callable[[ClusterSnapshot], Decision | None] = lambda _: None
        self.find_out: Callable[[Decision], Awaitable[Prospects | None]] = _nothing_found
        crew = SimpleNamespace(
            mirror=self,
            solver=self,
            binder=self,
            narrator=self,
            telemetry=SimpleNamespace(
                decided=_nothing, queues=_nothing, broken=_nothing, cycle_took=_nothing, ended=_nothing
            ),
            write_groups=lambda: False,
            note_shard=lambda: ShardNotice("default", None, "", ()),
            contained=self.contained,
        )
        self.stock = SimpleNamespace(
            queues=SimpleNamespace(documents={}), pod_groups=SimpleNamespace(documents={})
        )
        self.pods = SimpleNamespace(records={pod.key: pod for pod in world.pods})
        self.note_changed = self.expect = self.assume = self.forget = self.tell_outcome = _nothing
        self.loop = CycleLoop(cast("Crew", crew), lambda: POLICY, PACE, clock)

    def take_dirty(self) -> Any:
        self.wake.clear()
        return SimpleNamespace(groups=set())

    def snapshot(self, now: float, policy: Policy) -> ClusterSnapshot:
        return self.world

    async def decide(self, snapshot: ClusterSnapshot, policy: Policy, deadline_seconds: float) -> Decision:
        self.seen.append((self.clock(), snapshot))
        self.deadlines.append(deadline_seconds)
        refused = self.refuse(snapshot)
        return refused or Decision(plan=plan_cycle(snapshot, policy), ending=Ending.FINISHED)

    async def prospects(self, decision: Decision) -> Prospects | None:
        return await self.find_out(decision)

    def submit(self, commands: Any) -> None:
        for command in commands:
            self.commands.append((self.clock(), command))
            outcome = self.answer(command)
            if outcome is not None:
                asyncio.get_running_loop().call_later(0.01, self.loop.ended, outcome)

    async def drained(self) -> None:
        await asyncio.Event().wait()

    def tell_cycle(self, snapshot: ClusterSnapshot, plan: Any, *_: object) -> None:
        self.told.append(plan)

    async def run(self, seconds: float) -> None:
        running = asyncio.create_task(self.loop.run())
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.wait({running})

    @property
    def begins(self) -> list[float]:
        return [at for at, _ in self.seen]


async def _nothing_found(_: Decision) -> None:
    return None


def _nothing(*_: object, **__: object) -> None:
    return None


def a_world() -> ClusterSnapshot:
    whole = a_spec(gpus=8)
    return a_snapshot(
        nodes=[a_node("n1")],
        pods=[a_pod("doomed", whole), a_pod("fine", whole)],
        groups=[a_group("doomed", priority=100), a_group("fine")],
    )


def on_stage(play: Callable[[Stage], Any], world: ClusterSnapshot | None = None) -> Stage:
    async def main(clock: Callable[[], float]) -> Stage:
        stage = Stage(clock, world or a_world())
        await play(stage)
        return stage

    return run_virtually(main)


def test_a_quiet_cluster_is_looked_at_every_ten_seconds_and_an_event_at_once():
    async def play(stage: Stage) -> None:
        asyncio.get_running_loop().call_later(25.0, stage.wake.set)
        await stage.run(29.0)

    quiet = a_snapshot(nodes=[a_node("n1")])
    begins = on_stage(play, quiet).begins

    assert [round(at, 2) for at in begins] == [0.0, 10.0, 20.0, 25.0 + PACE.batch_seconds]


def test_a_gang_that_is_refused_steps_aside_and_comes_back_with_growing_pauses_without_any_event():
    async def play(stage: Stage) -> None:
        def answer(command: BindGang) -> CommandOutcome | None:
            if command.pod_group == "team/doomed":
                return CommandOutcome(command=command, result=Result.FAILED, reason=WORDS)
            # The other's binding takes long: it is under way until the end.
            return None

        stage.answer = answer
        await stage.run(40.0)

    stage = on_stage(play)
    tries = [at for at, command in stage.commands if command.pod_group == "team/doomed"]
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]

    assert [command.pod_group for _, command in stage.commands][:2] == ["team/doomed", "team/fine"]
    assert stage.commands[1][0] < 0.5
    assert [round(pause) for pause in pauses] == [1, 2, 5, 10, 20]
    said = [
        verdict.outcome for plan in stage.told[1:] for verdict in plan.verdicts if WORDS in verdict.message
    ]
    assert len(said) == len(stage.told) - 1
    assert [len(snapshot.rests) for _, snapshot in stage.seen][:2] == [0, 1]


def test_a_gang_with_a_command_under_way_gets_no_second_one():
    async def play(stage: Stage) -> None:
        await stage.run(60.0)

    assert len(on_stage(play).commands) == 1


def test_a_cycle_without_plan_is_made_good_soon_and_gets_more_time_where_time_was_short():
    async def play(stage: Stage) -> None:
        late = Decision(plan=None, ending=Ending.DEADLINE, reason="late", sent_bytes=1)
        stage.refuse = lambda _: late if len(stage.seen) <= 3 else None
        await stage.run(8.0)

    stage = on_stage(play)

    assert [round(at, 1) for at in stage.begins][:4] == [0.0, 1.5, 3.0, 4.5]
    assert stage.deadlines[:5] == [5.0, 10.0, 20.0, 40.0, 5.0]
    assert stage.commands


def test_a_cycle_that_raises_costs_itself_only():
    async def play(stage: Stage) -> None:
        def broken(_: ClusterSnapshot) -> Decision | None:
            if len(stage.seen) == 1:
                raise RuntimeError("a bug")
            return None

        stage.refuse = broken
        await stage.run(3.0)

    stage = on_stage(play)

    assert round(stage.begins[1], 1) == PACE.settle_seconds
    assert stage.commands


def test_after_the_lease_is_lost_everything_is_tried_anew():
    async def play(stage: Stage) -> None:
        await stage.run(1.0)
        stage.loop.reset()
        await stage.run(1.0)

    stage = on_stage(play)

    assert [command.pod_group for _, command in stage.commands] == ["team/doomed", "team/doomed"]


def test_with_a_long_backlog_the_next_cycle_waits():
    async def play(stage: Stage) -> None:
        stage.backlog = PACE.busy_backlog + 1
        stage.wake.set()
        for second in range(4):
            asyncio.get_running_loop().call_later(float(second), stage.wake.set)
        await stage.run(4.0)

    begins = on_stage(play, replace(a_world(), pods=a_snapshot().pods)).begins

    assert all(later - earlier >= PACE.busy_seconds for earlier, later in itertools.pairwise(begins))


class Finding:
    """A solver whose prospects are ready some seconds after the decision."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def __call__(self, decision: Decision) -> Prospects:
        await asyncio.sleep(self.seconds)
        assert decision.plan is not None
        hopeful = (replace(one, outlook=Outlook(prospect=Prospect.NOT_NOW)) for one in decision.plan.verdicts)
        return Prospects(number=0, verdicts=tuple(hopeful))


def a_full_world() -> ClusterSnapshot:
    return a_snapshot(nodes=[a_node("n1")], pods=[a_pod("big", a_spec(gpus=9))], groups=[a_group("big")])


def test_what_those_who_wait_may_hope_for_is_told_after_the_cycle_and_kept_for_the_next():
    async def play(stage: Stage) -> None:
        stage.find_out = Finding(3.0)
        await stage.run(11.0)

    told = on_stage(play, a_full_world()).told

    prospects = [[one.outlook and one.outlook.prospect for one in plan.verdicts] for plan in told]
    assert prospects == [[None], [Prospect.NOT_NOW], [Prospect.NOT_NOW]]


def test_a_cycle_begins_while_prospects_are_still_looked_for():
    async def play(stage: Stage) -> None:
        stage.find_out = Finding(60.0)
        asyncio.get_running_loop().call_later(1.0, stage.wake.set)
        await stage.run(2.0)

    assert len(on_stage(play, a_full_world()).begins) == 2


def test_prospects_that_cannot_be_found_out_cost_nothing_but_themselves():
    async def play(stage: Stage) -> None:
        async def failing(_: Decision) -> Prospects:
            return Prospects(number=0, error="Traceback: it broke")

        stage.find_out = failing
        await stage.run(11.0)

    stage = on_stage(play, a_full_world())

    assert len(stage.begins) == 2
    assert stage.contained.counts["prospects"] == 2
