"""The Lease by a clock that jumps: at no moment may two write, and a lost one is found before anybody else may begin."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from kai_sched.errors import ApiFailure
from kai_sched.operator.lease import SAFETY_FRACTION, Leadership, LeaseTerms
from tests.virtual_time import run_virtually

Document = dict[str, Any]
DURATION, RENEW = 15.0, 3.0


class LeaseServer:
    """One Lease with compare-and-swap; it may be silent, or slow."""

    def __init__(self) -> None:
        self.lease: Document | None = None
        self.version = 0
        self.is_silent = False
        self.seconds = 0.0

    async def get(self, path: str) -> Document:
        await self._pass()
        if self.lease is None:
            raise ApiFailure("not found", status=404, retryable=False)
        return copy.deepcopy(self.lease)

    async def put(self, path: str, body: Document) -> Document:
        await self._pass()
        assert self.lease is not None
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ApiFailure("conflict", status=409, retryable=False)
        return self._store(body)

    async def post(self, path: str, body: Document) -> Document:
        await self._pass()
        if self.lease is not None:
            raise ApiFailure("exists", status=409, retryable=False)
        return self._store(body)

    async def _pass(self) -> None:
        if self.is_silent:
            await asyncio.Event().wait()
        await asyncio.sleep(self.seconds)

    def _store(self, body: Document) -> Document:
        self.version += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return self.lease

    @property
    def holder(self) -> str:
        return "" if self.lease is None else str(self.lease["spec"]["holderIdentity"])


def a_candidate(server: LeaseServer, clock: Any, name: str) -> Leadership:
    terms = LeaseTerms(
        namespace="kai-sched", name="l", identity=name, duration_seconds=DURATION, renew_seconds=RENEW
    )
    return Leadership(terms, server, clock)


async def lead(candidate: Leadership) -> None:
    """For ever: take it, keep it, take it again."""
    while True:
        await candidate.acquired()
        await candidate.lost()


def test_of_many_candidates_one_writes_and_it_goes_on_writing():
    async def main(clock: Any) -> list[list[bool]]:
        server = LeaseServer()
        server.seconds = 0.1
        candidates = [a_candidate(server, clock, f"c{number}") for number in range(4)]
        tasks = [asyncio.create_task(lead(candidate)) for candidate in candidates]
        seen = []
        for _ in range(600):
            await asyncio.sleep(1)
            seen.append([candidate.may_write() for candidate in candidates])
        assert len(tasks) == 4
        return seen

    seen = run_virtually(main)

    assert {sum(one) for one in seen} == {1}
    assert len({tuple(one) for one in seen}) == 1


def test_whoever_hears_nothing_stops_before_another_begins():
    async def main(clock: Any) -> tuple[float, float]:
        server = LeaseServer()
        first, second = a_candidate(server, clock, "first"), a_candidate(server, clock, "second")
        leading = asyncio.create_task(lead(first))
        await asyncio.sleep(10)
        waiting = asyncio.create_task(second.acquired())
        await asyncio.sleep(10)
        assert first.may_write()
        # Its calls hang from now on; the other's do not.
        silent_since = clock()
        first._calls = hanging = LeaseServer()
        hanging.is_silent = True
        while first.may_write():
            assert not second.may_write()
            await asyncio.sleep(0.1)
        stopped = clock() - silent_since
        await waiting
        assert not leading.done()
        return stopped, clock() - silent_since

    stopped, begun = run_virtually(main)

    assert stopped <= DURATION * (1 - SAFETY_FRACTION) + 0.2
    assert begun - stopped >= DURATION * SAFETY_FRACTION - RENEW
    assert begun <= DURATION + 2 * RENEW


def test_a_process_that_slept_finds_its_fence_closed_before_anything_else():
    moved = 0.0

    async def main(clock: Any) -> None:
        nonlocal moved
        server = LeaseServer()
        candidate = a_candidate(server, lambda: clock() + moved, "c")
        await candidate.acquired()
        assert candidate.may_write()
        moved = DURATION
        assert not candidate.may_write()

    run_virtually(main)


def test_a_lease_that_is_given_back_is_taken_at_the_next_attempt():
    async def main(clock: Any) -> float:
        server = LeaseServer()
        first, second = a_candidate(server, clock, "first"), a_candidate(server, clock, "second")
        await first.acquired()
        waiting = asyncio.create_task(second.acquired())
        await asyncio.sleep(1)
        await first.release()
        assert not first.may_write()
        released = clock()
        await waiting
        assert server.holder == "second"
        return clock() - released

    assert run_virtually(main) <= RENEW


def test_a_renewal_that_lost_a_race_does_not_prolong_the_lease():
    async def main(clock: Any) -> None:
        server = LeaseServer()
        candidate = a_candidate(server, clock, "c")
        await candidate.acquired()
        leading = asyncio.create_task(candidate.lost())
        assert server.lease is not None
        server.lease["spec"]["holderIdentity"] = "somebody"
        server._store(server.lease)
        await asyncio.sleep(RENEW + 0.1)
        assert not candidate.may_write()
        await leading

    run_virtually(main)
