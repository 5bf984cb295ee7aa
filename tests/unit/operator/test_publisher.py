"""The publisher writes news, once, in order, and never ahead of more important writes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from kai_sched.cluster.contained import Contained
from kai_sched.errors import ApiFailure
from kai_sched.operator.outbox import WRITERS, Outbox
from kai_sched.operator.publisher import Publisher, Saying


class Traffic:
    """The binder, as far as the publisher asks."""

    def __init__(self) -> None:
        self.backlog = 0
        self.idle = asyncio.Event()

    async def drained(self) -> None:
        await self.idle.wait()


class Open:
    def may_write(self) -> bool:
        return True


class Desk:
    """A publisher with a clock that stands still until told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.traffic = Traffic()
        self.written: list[str] = []
        self.contained = Contained()
        self.publisher = Publisher(self.traffic, Open(), lambda: self.now, self.contained)

    def saying(
        self, text: str, *, gist: str = "", uid: str = "u1", send: Callable | None = None, **how: Any
    ) -> Saying:
        async def write() -> None:
            if send is not None:
                await send()
            self.written.append(text)

        return Saying(subject=("pod", uid), gist=gist or text, detail=text, send=write, **how)

    async def settle(self, after: float = 0.0) -> list[str]:
        """What is written once everything that is due so many seconds later has been."""
        self.now += after
        self.publisher.release_held()
        for _ in range(200):
            await asyncio.sleep(0)
        return self.written


@pytest.fixture
async def desk():
    desk = Desk()
    writers = [asyncio.create_task(desk.publisher._write()) for _ in range(WRITERS)]
    yield desk
    for writer in writers:
        writer.cancel()
    await asyncio.gather(*writers, return_exceptions=True)


async def test_the_same_thing_is_written_once(desk: Desk):
    for _ in range(3):
        desk.publisher.offer(desk.saying("full"))
        await desk.settle()

    assert desk.written == ["full"]


async def test_other_figures_wait_for_their_turn_and_a_new_reason_does_not(desk: Desk):
    desk.publisher.offer(desk.saying("2 missing", gist="full", calm_seconds=30))
    await desk.settle()
    desk.publisher.offer(desk.saying("1 missing", gist="full", calm_seconds=30))
    assert await desk.settle() == ["2 missing"]

    desk.now += 31
    assert await desk.settle() == ["2 missing", "1 missing"]

    desk.publisher.offer(desk.saying("limit", calm_seconds=30))
    assert await desk.settle() == ["2 missing", "1 missing", "limit"]


async def test_what_passes_by_itself_is_not_told(desk: Desk):
    desk.publisher.offer(desk.saying("not ready", patience_seconds=2))
    desk.now += 1
    assert await desk.settle() == []

    desk.publisher.offer(desk.saying("placed"))
    desk.now += 5

    assert await desk.settle() == ["placed"]


async def test_what_does_not_pass_is_told_after_its_patience_however_often_it_is_offered(desk: Desk):
    for _ in range(5):
        desk.publisher.offer(desk.saying("not ready", patience_seconds=2))
        desk.now += 0.5
        await desk.settle()

    assert desk.written == ["not ready"]


async def test_what_is_withdrawn_is_not_written_and_may_be_said_later(desk: Desk):
    desk.publisher.offer(desk.saying("full", patience_seconds=2))
    desk.publisher.withdraw(("pod", "u1"))
    desk.now += 5
    assert await desk.settle() == []

    desk.publisher.offer(desk.saying("full"))

    assert await desk.settle() == ["full"]


async def test_two_writes_about_one_subject_never_overtake_each_other(desk: Desk):
    slow = asyncio.Event()
    desk.publisher.offer(desk.saying("old", send=slow.wait))
    await desk.settle()
    desk.publisher.offer(desk.saying("new"))
    assert await desk.settle() == []

    slow.set()

    assert await desk.settle() == ["old", "new"]


async def test_what_somebody_else_wrote_over_is_written_again(desk: Desk):
    desk.publisher.offer(desk.saying("full", repair_seconds=5))
    await desk.settle()
    desk.publisher.offer(desk.saying("full", repair_seconds=5))
    assert await desk.settle() == ["full"]

    desk.now += 6
    desk.publisher.offer(desk.saying("full", repair_seconds=5))

    assert await desk.settle() == ["full", "full"]


async def test_pods_are_bound_first(desk: Desk):
    desk.traffic.backlog = 1
    desk.publisher.offer(desk.saying("full"))
    assert await desk.settle() == []

    desk.traffic.backlog = 0
    desk.traffic.idle.set()

    assert await desk.settle() == ["full"]


async def test_what_is_refused_for_good_is_said_again_when_it_is_offered_again(desk: Desk):
    async def refuse() -> None:
        raise ApiFailure("no", status=422, retryable=False)

    desk.publisher.offer(desk.saying("full", send=refuse))
    await desk.settle()
    assert (desk.written, desk.publisher.failures) == ([], 1)

    desk.publisher.offer(desk.saying("full"))

    assert await desk.settle(after=1.5) == ["full"]


async def test_without_a_right_the_pauses_between_tries_grow(desk: Desk):
    tries: list[float] = []

    async def forbid() -> None:
        tries.append(desk.now)
        raise ApiFailure("forbidden", status=403, retryable=False)

    for _ in range(1200):
        desk.publisher.offer(desk.saying("full", send=forbid))
        await desk.settle(after=1.0)

    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(tries)]
    assert pauses[:4] == [1, 2, 5, 15]
    assert pauses[4:] == sorted(pauses[4:])
    assert len(tries) < 10


async def test_a_right_that_comes_back_is_used_and_its_loss_forgotten(desk: Desk):
    is_forbidden = True

    async def maybe() -> None:
        if is_forbidden:
            raise ApiFailure("forbidden", status=403, retryable=False)

    for _ in range(10):
        desk.publisher.offer(desk.saying("full", send=maybe))
        await desk.settle(after=1.0)
    is_forbidden = False
    desk.publisher.offer(desk.saying("full", send=maybe))
    assert await desk.settle(after=60.0) == ["full"]

    desk.publisher.offer(desk.saying("limit", send=maybe))

    assert await desk.settle() == ["full", "limit"]


@pytest.mark.parametrize(
    ("status", "retryable", "message"),
    [
        (413, False, "Request entity too large: limit is 3145728"),
        (422, False, 'PodGroup "g" is invalid: status.message: Too long: may not be more than 32768 bytes'),
        (500, True, "etcdserver: request is too large"),
    ],
)
async def test_what_is_too_large_is_never_written_again_as_it_is(
    desk: Desk, status: int, retryable: bool, message: str
):
    tries = 0

    async def refuse() -> None:
        nonlocal tries
        tries += 1
        raise ApiFailure(message, status=status, retryable=retryable)

    for _ in range(100):
        desk.publisher.offer(desk.saying("x" * 1000, gist="full", send=refuse, repair_seconds=5))
        await desk.settle(after=60.0)
    assert tries == 1

    desk.publisher.offer(desk.saying("short", gist="full", send=None))

    assert await desk.settle(after=400.0) == ["short"]


async def test_a_server_that_is_busy_is_asked_again_without_keeping_others_waiting(desk: Desk):
    tries = 0

    async def busy() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ApiFailure("try again", status=503, retryable=True)

    for number in range(40):
        desk.publisher.offer(
            desk.saying(
                "slow", uid=f"u{number}", namespace="greedy", send=busy if number == 0 else refuse_for_now
            )
        )
    desk.publisher.offer(desk.saying("status of another", uid="other", namespace="team"))

    assert await desk.settle() == ["status of another"]
    await desk.settle(after=0.3)
    assert await desk.settle(after=1.1) == ["status of another", "slow"]


async def refuse_for_now() -> None:
    raise ApiFailure("try again", status=503, retryable=True)


async def test_namespaces_take_turns(desk: Desk):
    gate = asyncio.Event()
    for number in range(50):
        desk.publisher.offer(
            desk.saying(f"greedy {number}", uid=f"g{number}", namespace="greedy", send=gate.wait)
        )
    await desk.settle()
    for number in range(3):
        desk.publisher.offer(desk.saying(f"team {number}", uid=f"t{number}", namespace="team"))

    # Its writes are not answered at all: they never have all the writers.
    assert await desk.settle() == ["team 0", "team 1", "team 2"]
    gate.set()
    await desk.settle()
    assert len(desk.written) == 53


async def test_a_write_that_fails_with_an_error_of_ours_ends_no_writer(desk: Desk):
    async def broken() -> None:
        raise TypeError("Integer exceeds 64-bit range")

    for number in range(10):
        desk.publisher.offer(desk.saying("odd", uid=f"u{number}", send=broken))
    await desk.settle()

    desk.publisher.offer(desk.saying("full", uid="fine"))

    assert await desk.settle() == ["full"]
    assert desk.contained.counts == {"write": 10}


async def test_a_full_outbox_drops_the_oldest_of_whoever_has_most(monkeypatch: pytest.MonkeyPatch):
    outbox = Outbox(most=4)
    desk = Desk()
    for number in range(3):
        outbox.put(desk.saying(f"g{number}", uid=f"g{number}", namespace="greedy"))
    outbox.put(desk.saying("t0", uid="t0", namespace="team"))

    dropped = outbox.put(desk.saying("t1", uid="t1", namespace="team"))

    assert dropped is not None
    assert dropped.detail == "g0"
    assert len(outbox) == 4


async def test_an_object_that_is_gone_is_no_failure(desk: Desk):
    async def gone() -> None:
        raise ApiFailure("gone", status=404, retryable=False)

    desk.publisher.offer(desk.saying("full", send=gone))
    await desk.settle()

    assert (desk.written, desk.publisher.failures) == ([], 0)


async def test_what_was_said_of_objects_that_are_gone_is_dropped_and_of_others_kept(desk: Desk):
    said = 3000
    for number in range(said):
        desk.publisher.offer(desk.saying("waits", uid=f"u{number}"))
    await desk.settle()
    desk.publisher.forget_others(lambda: {"u1", "u2"})
    desk.written.clear()

    for uid in ("u1", "u2", "u3"):
        desk.publisher.offer(desk.saying("waits", uid=uid))

    assert await desk.settle() == ["waits"]
    assert len(desk.publisher._said) == 3


async def test_little_that_is_remembered_is_not_looked_through(desk: Desk):
    desk.publisher.offer(desk.saying("waits"))

    desk.publisher.forget_others(lambda: pytest.fail("the cluster was looked through"))


async def test_what_was_dropped_from_a_full_queue_is_written_when_it_is_offered_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(desk.publisher, "_outbox", Outbox(most=2))
    sayings = [desk.saying(f"{number} waits", uid=f"u{number}") for number in range(3)]
    for saying in sayings:
        desk.publisher.offer(saying)
    assert (await desk.settle(), desk.publisher.dropped) == (["1 waits", "2 waits"], 1)

    told = [desk.publisher.offer(saying) for saying in sayings]

    assert told == [False, True, True]
    assert await desk.settle() == ["1 waits", "2 waits", "0 waits"]
