"""The publisher writes news, once, in order, and never ahead of more important writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kai_sched.errors import ApiFailure
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
        self.publisher = Publisher(self.traffic, Open(), lambda: self.now)

    def saying(
        self, text: str, *, gist: str = "", uid: str = "u1", send: Callable | None = None, **how: float
    ) -> Saying:
        async def write() -> None:
            if send is not None:
                await send()
            self.written.append(text)

        return Saying(subject=("pod", uid), gist=gist or text, detail=text, send=write, **how)

    async def settle(self) -> list[str]:
        """What is written once everything that is due has been."""
        self.publisher.release_held()
        for _ in range(20):
            await asyncio.sleep(0)
        return self.written


@pytest.fixture
async def desk():
    desk = Desk()
    writers = [asyncio.create_task(desk.publisher._write()) for _ in range(2)]
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

    assert await desk.settle() == ["full"]


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
    monkeypatch.setattr("kai_sched.operator.publisher.MAX_QUEUED", 2)
    sayings = [desk.saying(f"{number} waits", uid=f"u{number}") for number in range(3)]
    for saying in sayings:
        desk.publisher.offer(saying)
    assert (await desk.settle(), desk.publisher.dropped) == (["1 waits", "2 waits"], 1)

    told = [desk.publisher.offer(saying) for saying in sayings]

    assert told == [False, True, True]
    assert await desk.settle() == ["1 waits", "2 waits", "0 waits"]
