"""Gangs that fail rest for growing pauses, and what ends a rest; by a clock that stands still until it is moved."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from kai_sched.binder.outcomes import CommandOutcome, Result
from kai_sched.model.commands import BindGang, UndoReservation
from kai_sched.model.ids import NodeName, PodGroupKey, PodKey, QueueName, Uid
from kai_sched.model.plan import Blocker, Outcome, Placement, Plan, Verdict
from kai_sched.operator.attempts import REFUSED_PAUSES, UNANSWERED_PAUSES, Attempts
from tests.builders import NOW, a_group, a_pod, a_snapshot, a_spec

GROUP = PodGroupKey("team/g")
REASON = "pod team/g-0: 422 not today"


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempts(clock: Clock) -> Attempts:
    return Attempts(clock)


def a_command(pods: int = 2, already_bound: int = 0) -> BindGang:
    placements = tuple(
        Placement(
            pod=PodKey(f"team/g-{n}"), uid=Uid(f"uid-team/g-{n}"), pod_group=GROUP, node=NodeName(f"n{n}")
        )
        for n in range(pods)
    )
    return BindGang(pod_group=GROUP, placements=placements, already_bound=already_bound)


def a_world(pods: int = 2, **group: object):
    members = [a_pod(f"g-{n}", group="g") for n in range(pods)]
    return a_snapshot(pods=members, groups=[a_group("g", min_member=2, **group)])


def fail(attempts: Attempts, result: Result = Result.FAILED, **more: object) -> None:
    """One attempt that ends so."""
    command = more.pop("command", None) or a_command()
    attempts.started(command)
    is_incomplete = bool(more.pop("is_incomplete", False))
    attempts.ended(
        CommandOutcome(command=command, result=result, reason=REASON, **more), is_incomplete=is_incomplete
    )


@pytest.mark.parametrize(
    ("result", "pauses"),
    [
        (Result.FAILED, REFUSED_PAUSES),
        (Result.RETRY, REFUSED_PAUSES),
        (Result.UNPREPARED, REFUSED_PAUSES),
        (Result.UNANSWERED, UNANSWERED_PAUSES),
        (Result.STALE, (0.0, 0.0, 0.0, *REFUSED_PAUSES)),
    ],
)
def test_pauses_grow_to_their_longest_and_stay_there(attempts, clock, result, pauses):
    for pause in (*pauses, pauses[-1]):
        fail(attempts, result)
        attempts.look(a_world())
        if pause:
            assert attempts.next_due_in() == pytest.approx(pause)
            assert [REASON in rest.reason for rest in attempts.rests()] == [True]
            assert not attempts.may_start(a_command())
        else:
            assert attempts.rests() == ()
        clock.now += pause
        assert attempts.may_start(a_command())
        assert attempts.rests() == ()


def test_success_begins_the_pauses_anew(attempts, clock):
    fail(attempts)
    fail(attempts)
    attempts.started(a_command())
    attempts.ended(CommandOutcome(command=a_command(), result=Result.DONE))
    assert attempts.rests() == ()

    fail(attempts)

    assert attempts.next_due_in() == pytest.approx(REFUSED_PAUSES[0])


def test_a_change_of_the_group_or_of_a_waiting_pod_ends_the_rest_and_the_end_of_a_pod_does_not(attempts):
    def rest_anew(world) -> None:
        attempts.ended(CommandOutcome(command=a_command(), result=Result.DONE))
        for _ in range(3):
            fail(attempts)
        attempts.look(world)
        assert attempts.rests()

    rest_anew(a_world())
    attempts.look(a_world(resource_version="7", given_up_on="default"))
    attempts.look(a_world(pods=1))
    assert attempts.rests()

    attempts.look(a_world(pods=1, priority=70))
    assert attempts.rests() == ()

    rest_anew(a_world())
    labelled = [a_pod("g-0", a_spec(labels=(("new", "label"),)), group="g"), a_pod("g-1", group="g")]
    attempts.look(a_snapshot(pods=labelled, groups=a_world().pod_groups))
    assert attempts.rests() == ()

    rest_anew(a_world())
    attempts.look(a_world(pods=3))
    assert attempts.rests() == ()
    assert attempts.may_start(a_command())


def test_a_gang_that_is_gone_is_forgotten(attempts):
    fail(attempts)

    attempts.look(a_snapshot())

    assert attempts.rests() == ()
    assert attempts.next_due_in() is None


def test_a_gang_that_is_bound_in_part_keeps_its_room_and_is_completed_by_what_is_left(attempts, clock):
    fail(attempts, bound=(PodKey("team/g-0"),), is_incomplete=True)

    assert attempts.keeps(GROUP)
    assert [rest.keeps_room for rest in attempts.rests()] == [True]
    assert attempts.due() == ()
    clock.now += REFUSED_PAUSES[0]
    (command,) = attempts.due()
    assert [placement.pod for placement in command.placements] == ["team/g-1"]
    assert command.already_bound == 1

    attempts.started(command)
    assert attempts.due() == ()
    assert [rest.keeps_room for rest in attempts.rests()] == [True]
    attempts.ended(CommandOutcome(command=command, result=Result.DONE, bound=(PodKey("team/g-1"),)))
    assert attempts.rests() == ()


@pytest.mark.parametrize("result", [Result.STALE, Result.UNPREPARED])
def test_where_the_same_command_can_never_succeed_the_room_is_given_up(attempts, result):
    fail(attempts, result, bound=(PodKey("team/g-0"),), is_incomplete=True)

    assert not attempts.keeps(GROUP)


def test_a_gang_that_was_refused_is_not_told_as_placed_before_it_is_bound(attempts, clock):
    verdict = Verdict(pod_group=GROUP, queue=QueueName("team-a"), outcome=Outcome.PLACED)
    plan, world = Plan(now=NOW, verdicts=(verdict,)), a_world()
    assert attempts.told(plan, world) == plan

    fail(attempts)
    clock.now += REFUSED_PAUSES[0]
    attempts.started(a_command())

    (told,) = attempts.told(plan, world).verdicts
    assert (told.outcome, told.blocker) == (Outcome.UNPLACED, Blocker.DELAYED)
    assert REASON in told.message
    attempts.ended(CommandOutcome(command=a_command(), result=Result.DONE))
    assert attempts.told(plan, world) == plan


def test_a_gang_has_one_command_at_a_time_and_none_while_something_is_taken_back_from_its_pods(attempts):
    command = a_command()
    assert attempts.may_start(command)
    undo = UndoReservation(pod=PodKey("team/g-1"), uid=Uid("u"), claims=("team/c",))

    attempts.started(undo)
    assert not attempts.may_start(command)
    assert not attempts.may_start(undo)
    attempts.ended(CommandOutcome(command=undo, result=Result.DONE))

    assert attempts.may_start(command)
    attempts.started(command)
    assert not attempts.may_start(command)
    assert not attempts.may_start(replace(command, placements=command.placements[:1]))


def test_what_cannot_be_taken_back_is_tried_again_after_growing_pauses(attempts, clock):
    undo = UndoReservation(pod=PodKey("team/g-1"), uid=Uid("u"), claims=("team/c",))
    for pause in REFUSED_PAUSES[:3]:
        attempts.started(undo)
        attempts.ended(CommandOutcome(command=undo, result=Result.FAILED, reason="403"))
        attempts.look(a_world())
        assert attempts.next_due_in() == pytest.approx(pause)
        assert not attempts.may_start(undo)
        clock.now += pause
        assert attempts.may_start(undo)


def test_nothing_is_remembered_after_the_lease_is_lost(attempts):
    fail(attempts, bound=(PodKey("team/g-0"),), is_incomplete=True)
    other = replace(a_command(), pod_group=PodGroupKey("team/other"))
    attempts.started(other)

    held = attempts.forget_all()

    assert {command.pod_group for command in held} == {GROUP, other.pod_group}
    assert attempts.rests() == ()
    assert attempts.may_start(a_command())
