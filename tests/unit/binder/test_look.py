"""Write, then look: a device that another scheduler gave at the same moment is given back before anything is bound."""

from __future__ import annotations

from kai_sched.binder.execute import Binder
from kai_sched.binder.outcomes import CommandOutcome, Result
from kai_sched.binder.wait import DeviceWait
from kai_sched.model.ids import PodKey
from tests.shelf import NothingKnown, OpenFence, Shelf
from tests.unit.binder.gangs import a_gang_with_claims, a_placement, a_shelf_for, is_untouched, is_whole, run

TWICE = "claim team/c1: device gpu/n1/gpu-0 was given to claim other/x too"


class Waiting:
    """Pauses that only move a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def as_wait(self) -> DeviceWait:
        return DeviceWait(clock=lambda: self.now, pause=self.pause)


async def run_waiting(known: NothingKnown) -> tuple[CommandOutcome, Shelf, Waiting]:
    command = a_gang_with_claims(members=2)
    shelf, waiting, outcomes = a_shelf_for(command), Waiting(), []
    binder = Binder(shelf, known, OpenFence(), outcomes.append, device_wait=waiting.as_wait())
    binder.submit([command])
    await binder.drained()
    return outcomes[0], shelf, waiting


async def test_a_gang_of_which_a_device_was_given_twice_is_taken_back_and_decided_anew():
    command, known = a_gang_with_claims(), NothingKnown()
    known.given_twice = {PodKey("team/p1"): TWICE}
    shelf = a_shelf_for(command)

    outcome = await run(command, shelf, known=known)

    assert (outcome.result, outcome.reason) == (Result.STALE, TWICE)
    assert is_untouched(shelf, command)


async def test_alone_on_the_devices_nobody_waits():
    outcome, _, waiting = await run_waiting(NothingKnown())

    assert outcome.result is Result.DONE
    assert waiting.pauses == []


async def test_beside_another_scheduler_the_look_waits_until_our_own_writes_are_seen_and_for_theirs():
    known = NothingKnown()
    known.has_rivals, known.unseen = True, 10

    outcome, _, waiting = await run_waiting(known)

    assert outcome.result is Result.DONE
    assert waiting.pauses[:10] == [0.05] * 10
    assert sum(waiting.pauses[10:]) == 2 * sum(waiting.pauses[:10])


async def test_writes_that_are_never_seen_are_not_waited_for_without_end():
    known = NothingKnown()
    known.has_rivals, known.unseen = True, 10_000

    outcome, _, waiting = await run_waiting(known)

    assert outcome.result is Result.DONE
    assert waiting.now < 10


async def test_a_pod_without_claims_waits_for_nobody():
    known = NothingKnown()
    known.has_rivals = True
    command = a_gang_with_claims(members=1)
    plain = type(command)(
        pod_group=command.pod_group, placements=(a_placement("team/p0", "n0"),), already_bound=0
    )
    shelf, waiting, outcomes = a_shelf_for(plain), Waiting(), []
    binder = Binder(shelf, known, OpenFence(), outcomes.append, device_wait=waiting.as_wait())
    binder.submit([plain])
    await binder.drained()

    assert is_whole(shelf, plain)
    assert waiting.pauses == []
