"""Taking back reservations and evicting pods."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kai_sched.binder.outcomes import Result
from kai_sched.binder.recover import leftover_reservations
from kai_sched.errors import ApiFailure
from kai_sched.model.commands import Deallocate, Evict, UndoReservation
from kai_sched.model.devices import Claim, ClaimAllocation, ClaimSpec, Consumer
from kai_sched.model.ids import ClaimKey, PodKey, Uid
from kai_sched.model.policy import StageName
from tests.builders import a_pod, a_snapshot
from tests.shelf import Shelf, allocation
from tests.unit.binder.gangs import run

UNDO = UndoReservation(pod=PodKey("team/p0"), uid=Uid("uid-team/p0"), claims=("team/c0",))
OURS = {"resource": "pods", "name": "p0", "uid": "uid-team/p0"}
OTHER = {"resource": "pods", "name": "p1", "uid": "uid-team/p1"}


async def test_the_last_consumer_takes_the_allocation_with_it_in_one_write() -> None:
    shelf = Shelf()
    shelf.put_pod("team/p0")
    shelf.put_claim("team/c0", allocation=allocation("gpu/n0/g0"), reservedFor=[OURS], devices=[{}])

    outcome = await run(UNDO, shelf)

    assert outcome.result is Result.DONE
    assert shelf.claim("team/c0")["status"] == {}
    assert len(shelf.writes) == 1


async def test_a_claim_that_others_use_stays_allocated() -> None:
    shelf = Shelf()
    shelf.put_pod("team/p0")
    shelf.put_claim("team/c0", allocation=allocation("gpu/n0/g0"), reservedFor=[OURS, OTHER])

    await run(UNDO, shelf)

    assert shelf.claim("team/c0")["status"] == {
        "allocation": allocation("gpu/n0/g0"),
        "reservedFor": [OTHER],
    }


async def test_a_pod_that_has_a_node_by_now_keeps_its_claim() -> None:
    shelf = Shelf()
    shelf.put_pod("team/p0", node="n0")
    shelf.put_claim("team/c0", allocation=allocation("gpu/n0/g0"), reservedFor=[OURS])

    outcome = await run(UNDO, shelf)

    assert outcome.result is Result.STALE
    assert shelf.writes == []


async def test_an_unused_allocation_of_somebody_else_is_left_alone() -> None:
    shelf = Shelf()
    shelf.put_pod("team/p0")
    shelf.put_claim("team/c0", allocation=allocation("gpu/n0/g0"))

    await run(UNDO, shelf)

    assert shelf.writes == []


@pytest.mark.parametrize(
    ("status", "result"),
    [(404, Result.DONE), (409, Result.STALE), (429, Result.RETRY), (503, Result.RETRY), (403, Result.FAILED)],
)
async def test_what_the_eviction_api_answers_decides_the_outcome(status: int, result: Result) -> None:
    shelf = Shelf()
    shelf.put_pod("team/p0", node="n0")

    def refuse(writes: int, call: str) -> None:
        raise ApiFailure("no", status=status, retryable=status in {429, 503})

    shelf.before_write = refuse
    command = Evict(pod=PodKey("team/p0"), uid=Uid("uid-team/p0"), stage=StageName.RECLAIM, beneficiary=None)

    assert (await run(command, shelf)).result is result


def a_held_claim(key: str, *consumers: str, owner: str = "", is_allocated: bool = True) -> Claim:
    return Claim(
        key=ClaimKey(key),
        uid=Uid(f"uid-{key}"),
        spec=ClaimSpec(),
        allocation=ClaimAllocation() if is_allocated else None,
        reserved_for=tuple(Consumer("pods", uid, uid) for uid in consumers),
        owner_uid=owner,
    )


def test_only_waiting_pods_of_ours_that_nobody_places_lose_their_claims() -> None:
    pods = [
        a_pod("waiting"),
        a_pod("placed"),
        a_pod("running", node="n0"),
        a_pod("foreign", group=None),
        a_pod("owner"),
        a_pod("fresh"),
    ]
    claims = [a_held_claim(f"team/c-{pod.key[5:]}", pod.uid) for pod in pods[:4]]
    claims.append(a_held_claim("team/c-owner", owner="uid-team/owner"))
    claims.append(a_held_claim("team/c-fresh", owner="uid-team/fresh", is_allocated=False))

    undo = leftover_reservations(a_snapshot(pods=pods, claims=tuple(claims)), {PodKey("team/placed")})

    assert [(command.pod, command.claims) for command in undo] == [
        ("team/owner", ("team/c-owner",)),
        ("team/waiting", ("team/c-waiting",)),
    ]


def giving_back(shelf: Shelf) -> Deallocate:
    version = shelf.claim("team/c0")["metadata"]["resourceVersion"]
    return Deallocate(claim=ClaimKey("team/c0"), uid=Uid("uid-team/c0"), resource_version=version)


async def test_devices_that_nobody_uses_are_given_back_in_one_write() -> None:
    shelf = Shelf()
    shelf.put_claim("team/c0", allocation=allocation("gpu/n0/g0"), devices=[{}])

    outcome = await run(giving_back(shelf), shelf)

    assert outcome.result is Result.DONE
    assert shelf.claim("team/c0")["status"] == {}
    assert len(shelf.writes) == 1


async def test_a_claim_that_somebody_uses_by_now_keeps_its_devices() -> None:
    shelf = Shelf()
    shelf.put_claim("team/c0", allocation=allocation("gpu/n0/g0"))
    command = giving_back(shelf)
    shelf.put_claim("team/c0", allocation=allocation("gpu/n0/g0"), reservedFor=[OTHER])

    assert (await run(command, shelf)).result is Result.STALE
    assert shelf.writes == []


async def test_so_does_one_that_changed_after_it_was_looked_at_and_one_that_is_gone() -> None:
    shelf = Shelf()
    shelf.put_claim("team/c0", allocation=allocation("gpu/n0/g0"))
    command = replace(giving_back(shelf), resource_version="older")
    gone = replace(command, claim=ClaimKey("team/gone"))

    assert (await run(command, shelf)).result is Result.STALE
    assert (await run(gone, shelf)).result is Result.STALE
    assert shelf.writes == []


@pytest.mark.parametrize(
    ("status", "result"), [(409, Result.STALE), (503, Result.RETRY), (403, Result.FAILED)]
)
async def test_what_the_server_answers_decides_whether_it_is_tried_again(status: int, result: Result) -> None:
    shelf = Shelf()
    shelf.put_claim("team/c0", allocation=allocation("gpu/n0/g0"))

    def refuse(writes: int, call: str) -> None:
        raise ApiFailure("no", status=status, retryable=status == 503)

    shelf.before_write = refuse

    assert (await run(giving_back(shelf), shelf)).result is result
