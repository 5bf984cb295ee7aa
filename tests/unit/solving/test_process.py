"""The parent's side of solving against children that behave, die, hang and talk nonsense."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.placement.checker import Violation, ViolationKind
from kai_sched.solving.process import Check, SolverProcess
from kai_sched.solving.stats import Ending
from tests.builders import NOW, a_node, a_pod, a_snapshot

POLICY = Policy()
SNAPSHOT = a_snapshot(nodes=[a_node("n1")], pods=[a_pod("p")])

PRELUDE = """
import os, signal, sys, time
from kai_sched.model.plan import Outcome, Plan, SolverReport, Verdict
from kai_sched.solving.frames import decode, read_frame_from, write_frame
from kai_sched.solving.messages import Finished, Improved, Prospects, Raised, Ready

out = sys.stdout.buffer

def plan(models):
    verdict = Verdict(pod_group=f'team/g{models}', queue='team-a', outcome=Outcome.PLACED)
    return Plan(now=NOW, verdicts=(verdict,), solver=SolverReport(models=models))

write_frame(out, Ready(process=os.getpid()))
fleet = None
while (parts := read_frame_from(sys.stdin.buffer)) is not None:
    request = decode(parts)
    fleet = request.fleet or fleet
    snapshot = request.columns.restore(fleet)
""".replace("NOW", repr(NOW))


def a_solver(body: str, check: Check | None = None) -> SolverProcess:
    """A solver whose child runs ``body`` for every request."""
    program = PRELUDE + textwrap.indent(textwrap.dedent(body), "    ")
    return SolverProcess(command=(sys.executable, "-c", program), check=check or (lambda *_: ()))


WELL_BEHAVED = """
write_frame(out, Improved(number=request.number, plan=plan(1)))
write_frame(out, Improved(number=request.number, plan=plan(2)))
write_frame(out, Finished(number=request.number, seconds=0.1, memory_bytes=7))
"""
GREEDY_FIRST = "write_frame(out, Improved(number=request.number, plan=plan(1)))\n"


def models(plan: Plan | None) -> int:
    assert plan is not None
    return plan.solver.models


async def test_the_last_plan_of_a_finished_child_is_the_decision() -> None:
    async with a_solver(WELL_BEHAVED) as solver:
        decision = await solver.decide(SNAPSHOT, POLICY, 30)

    assert models(decision.plan) == 2
    assert decision.ending is Ending.FINISHED
    assert decision.plans == 2
    assert decision.child_memory_bytes == 7
    assert decision.plan is not None
    assert decision.plan.solver.reproducible


async def test_a_child_serves_many_decisions_and_gets_an_unchanged_fleet_once() -> None:
    body = "write_frame(out, Improved(number=request.number, plan=plan(len(snapshot.fleet.nodes))))\n"
    async with a_solver(body + "write_frame(out, Finished(number=request.number, seconds=0.1))") as solver:
        first = await solver.decide(SNAPSHOT, POLICY, 30)
        second = await solver.decide(SNAPSHOT, POLICY, 30)

    assert models(first.plan) == models(second.plan) == 1
    assert solver.stats.fleets_sent == 1
    assert solver.stats.starts == 2, "one at work and its spare"
    assert second.sent_bytes < first.sent_bytes


async def test_a_child_killed_in_the_middle_of_solving_leaves_the_greedy_plan_and_counts() -> None:
    body = GREEDY_FIRST + "os.kill(os.getpid(), signal.SIGKILL)"
    async with a_solver(body) as solver:
        decision = await solver.decide(SNAPSHOT, POLICY, 30)

        assert models(decision.plan) == 1
        assert decision.ending is Ending.DIED
        assert decision.plan is not None
        assert not decision.plan.solver.reproducible
        assert solver.stats.endings[Ending.DIED] == 1
        assert solver.stats.without_plan == 0

        again = await solver.decide(SNAPSHOT, POLICY, 30)

    assert models(again.plan) == 1
    assert solver.stats.starts == 4


async def test_a_child_killed_while_idle_is_replaced_before_it_is_missed() -> None:
    async with a_solver(WELL_BEHAVED) as solver:
        await solver.decide(SNAPSHOT, POLICY, 30)
        assert solver.process_id is not None
        os.kill(solver.process_id, signal.SIGKILL)
        await asyncio.sleep(0.2)

        decision = await solver.decide(SNAPSHOT, POLICY, 30)

    assert models(decision.plan) == 2
    assert solver.stats.endings[Ending.DIED] == 1
    assert solver.stats.fleets_sent == 2


async def test_a_hanging_child_is_killed_at_the_deadline_and_the_incumbent_kept() -> None:
    async with a_solver(GREEDY_FIRST + "time.sleep(600)") as solver:
        child = solver.process_id
        decision = await solver.decide(SNAPSHOT, POLICY, 10)

        assert models(decision.plan) == 1
        assert decision.ending is Ending.DEADLINE
        assert child is not None
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


async def test_a_child_that_never_answers_gives_a_decision_without_plan() -> None:
    async with a_solver("time.sleep(600)") as solver:
        decision = await solver.decide(SNAPSHOT, POLICY, 0.2)

    assert decision.plan is None
    assert decision.ending is Ending.DEADLINE
    assert decision.reason
    assert solver.stats.without_plan == 1


ONCE = """
import pathlib
if not pathlib.Path(MARK).exists():
    pathlib.Path(MARK).touch()
    WHAT
"""
"""Something that only the first child does."""


@pytest.mark.parametrize(
    ("what", "ending"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", Ending.DIED),
        ("os.kill(os.getpid(), signal.SIGSTOP)", Ending.DEADLINE),
        ("time.sleep(600)", Ending.DEADLINE),
        ("out.write(b'x' * 100_000); out.flush(); time.sleep(600)", Ending.NONSENSE),
    ],
    ids=["dies", "is stopped", "hangs", "talks nonsense"],
)
async def test_what_a_child_fails_at_before_any_plan_is_decided_greedily_by_another(
    what: str, ending: Ending, tmp_path: Path
) -> None:
    body = ONCE.replace("MARK", repr(str(tmp_path / "mark"))).replace("WHAT", what)
    greedy = "write_frame(out, Improved(number=request.number, plan=plan(int(request.policy.use_solver))))\n"
    async with a_solver(
        body + greedy + "write_frame(out, Finished(number=request.number, seconds=0))"
    ) as solver:
        decision = await solver.decide(SNAPSHOT, POLICY, 5)

        assert models(decision.plan) == 0
        assert decision.ending is ending
        assert solver.stats.endings[ending] == 1
        assert solver.stats.without_plan == 0

        again = await solver.decide(SNAPSHOT, POLICY, 5)

    assert models(again.plan) == 1
    assert again.ending is Ending.FINISHED


@pytest.mark.parametrize("what", ["time.sleep(600)", "os.kill(os.getpid(), signal.SIGSTOP)"])
async def test_a_child_that_hangs_while_it_starts_is_not_waited_for(what: str, tmp_path: Path) -> None:
    start = "import os, signal, time" + ONCE.replace("MARK", repr(str(tmp_path / "mark"))).replace(
        "WHAT", what
    )
    program = start + PRELUDE + textwrap.indent(textwrap.dedent(WELL_BEHAVED), "    ")
    solver = SolverProcess(command=(sys.executable, "-c", program), check=lambda *_: ())
    async with solver:
        decision = await solver.decide(SNAPSHOT, POLICY, 20)

    assert models(decision.plan) == 2
    assert decision.ending is Ending.FINISHED
    assert solver.stats.starts == 2


@pytest.mark.parametrize(
    "nonsense",
    [
        "out.write(b'x' * 100_000); out.flush(); time.sleep(600)",
        "out.write(b'KSF1' + b'\\xff' * 4 + b'x' * 100); out.flush(); time.sleep(600)",
        "out.write(b'KSF1' + (1).to_bytes(4, 'little') + b'\\xff' * 8); out.flush(); time.sleep(600)",
        "write_frame(out, 'a text is no reply'); time.sleep(600)",
        "write_frame(out, Finished(number=request.number + 1, seconds=0.0)); time.sleep(600)",
        "import subprocess; write_frame(out, subprocess.Popen); time.sleep(600)",
    ],
    ids=["no frame", "too many parts", "too long", "foreign value", "other number", "foreign type"],
)
async def test_nonsense_keeps_the_incumbent_and_replaces_the_child(nonsense: str) -> None:
    async with a_solver(GREEDY_FIRST + nonsense) as solver:
        decision = await solver.decide(SNAPSHOT, POLICY, 30)

    assert models(decision.plan) == 1
    assert decision.ending is Ending.NONSENSE
    assert solver.stats.endings[Ending.NONSENSE] == 1
    assert solver.stats.starts == 3


async def test_a_frame_cut_in_the_middle_counts_as_a_death() -> None:
    body = GREEDY_FIRST + "out.write(b'KSF1' + (1).to_bytes(4, 'little')); out.flush(); sys.exit(1)"
    async with a_solver(body) as solver:
        decision = await solver.decide(SNAPSHOT, POLICY, 30)

    assert models(decision.plan) == 1
    assert decision.ending is Ending.DIED


async def test_a_plan_that_the_checker_refuses_is_not_kept() -> None:
    def check(_snapshot: object, _policy: object, plan: Plan) -> tuple[Violation, ...]:
        bad = Violation(ViolationKind.GANG, "team/g", "is half placed")
        return (bad,) if plan.solver.models == 2 else ()

    async with a_solver(WELL_BEHAVED, check) as solver:
        decision = await solver.decide(SNAPSHOT, POLICY, 30)

    assert models(decision.plan) == 1
    assert decision.refusals == ("gang: team/g: is half placed",)
    assert solver.stats.refused_plans == 1


async def test_a_plan_that_only_adds_a_judgement_is_not_checked_again() -> None:
    checked: list[Plan] = []
    body = """
    write_frame(out, Improved(number=request.number, plan=plan(1)))
    judged = Plan(now=NOW, verdicts=plan(1).verdicts, solver=SolverReport(models=5))
    write_frame(out, Improved(number=request.number, plan=judged))
    write_frame(out, Finished(number=request.number, seconds=0.1))
    """.replace("NOW", repr(NOW))
    async with a_solver(body, lambda _s, _p, plan: checked.append(plan) or ()) as solver:  # type: ignore[func-returns-value]
        decision = await solver.decide(SNAPSHOT, POLICY, 30)

    assert models(decision.plan) == 5
    assert len(checked) == 1


async def test_no_plan_remains_if_the_checker_refuses_all() -> None:
    bad = Violation(ViolationKind.GANG, "team/g", "is half placed")
    async with a_solver(WELL_BEHAVED, lambda *_: (bad,)) as solver:
        decision = await solver.decide(SNAPSHOT, POLICY, 30)

    assert decision.plan is None
    assert solver.stats.without_plan == 1


async def test_an_error_of_the_cycle_is_reported_and_the_child_lives_on() -> None:
    body = "write_frame(out, Raised(number=request.number, error='stage x is not built', is_input=True))"
    async with a_solver(body) as solver:
        decision = await solver.decide(SNAPSHOT, POLICY, 30)
        await solver.decide(SNAPSHOT, POLICY, 30)

    assert decision.plan is None
    assert decision.ending is Ending.FAILED
    assert decision.reason == "stage x is not built"
    assert solver.stats.starts == 2


async def test_a_command_that_cannot_start_gives_a_decision_without_plan() -> None:
    solver = SolverProcess(command=(sys.executable, "-c", "raise SystemExit(3)"), check=lambda *_: ())
    async with solver:
        decision = await solver.decide(SNAPSHOT, POLICY, 30)

    assert decision.plan is None
    assert decision.ending is Ending.DIED


async def test_closing_ends_the_child() -> None:
    async with a_solver("time.sleep(600)") as solver:
        child = solver.process_id
    assert child is not None
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


async def test_decisions_asked_for_at_once_are_made_one_after_another() -> None:
    async with a_solver(WELL_BEHAVED) as solver:
        both = await asyncio.gather(*(solver.decide(SNAPSHOT, POLICY, 30) for _ in range(2)))

    assert [models(decision.plan) for decision in both] == [2, 2]


TELLING = GREEDY_FIRST + "write_frame(out, Finished(number=request.number, seconds=0.1, is_telling=True))\n"
FOUND = "write_frame(out, Prospects(number=request.number, verdicts=plan(9).verdicts))\n"


async def test_prospects_come_after_the_decision_and_nobody_waits_for_them() -> None:
    async with a_solver(TELLING + "time.sleep(0.5)\n" + FOUND) as solver:
        decision = await solver.decide(SNAPSHOT, POLICY, 30)
        assert decision.seconds < 0.4
        assert decision.ending is Ending.FINISHED

        found = await solver.prospects(decision)

    assert found is not None
    assert [verdict.pod_group for verdict in found.verdicts] == ["team/g9"]


async def test_the_next_decision_ends_the_telling_and_takes_what_was_found_as_the_earlier_ones() -> None:
    async with a_solver(TELLING + "time.sleep(0.3)\n" + FOUND) as solver:
        first = await solver.decide(SNAPSHOT, POLICY, 30)
        listening = asyncio.create_task(solver.prospects(first))
        await asyncio.sleep(0)
        second = await solver.decide(SNAPSHOT, POLICY, 30)

        assert models(second.plan) == 1
        assert await listening is not None
        assert await solver.prospects(first) is None, "those are told of the last decision only"
        assert await solver.prospects(second) is not None

    assert solver.stats.starts == 2


async def test_a_child_that_does_not_leave_off_is_replaced() -> None:
    hanging = TELLING + "time.sleep(600)"
    async with a_solver(hanging) as solver:
        await solver.decide(SNAPSHOT, POLICY, 30)
        # The spare starts meanwhile.
        await asyncio.sleep(2.0)
        decision = await solver.decide(SNAPSHOT, POLICY, 30)

    assert models(decision.plan) == 1
    assert decision.ending is Ending.NONSENSE
    assert "leave off" in decision.reason


@pytest.mark.parametrize(
    "end", ["sys.exit(1)", "os.kill(os.getpid(), signal.SIGKILL)", "out.write(b'x' * 99); out.flush()"]
)
async def test_a_child_that_fails_at_telling_costs_no_decision(end: str) -> None:
    async with a_solver(TELLING + end) as solver:
        first = await solver.decide(SNAPSHOT, POLICY, 30)
        assert await solver.prospects(first) is None

        again = await solver.decide(SNAPSHOT, POLICY, 30)

    assert models(again.plan) == 1


async def test_closing_does_not_wait_for_prospects() -> None:
    async with a_solver(TELLING + "time.sleep(600)") as solver:
        decision = await solver.decide(SNAPSHOT, POLICY, 30)
        listening = asyncio.create_task(solver.prospects(decision))
        await asyncio.sleep(0)

    assert await listening is None
