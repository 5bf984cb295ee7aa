"""A gang is bound whole or taken back whole, whatever happens between its writes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kai_sched.binder.outcomes import Result
from kai_sched.errors import ApiFailure
from kai_sched.model.commands import BindGang, UndoReservation
from kai_sched.model.ids import PodKey
from tests.shelf import NothingKnown, Shelf, allocation, claim_path, pod_path
from tests.unit.binder.gangs import (
    a_gang_with_claims,
    a_placement,
    a_shelf_for,
    crash_after,
    is_untouched,
    is_whole,
    run,
)


@pytest.mark.parametrize("number", range(10))
async def test_a_claim_allocated_by_somebody_else_before_any_claim_write_takes_the_gang_back(
    number: int,
) -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)

    def interfere(writes: int, call: str) -> None:
        if writes == number and shelf.claim("team/c3")["status"].get("allocation") is None:
            shelf.allocate_for_somebody_else("team/c3", "gpu/n9/gpu-7")

    shelf.before_write = interfere

    outcome = await run(command, shelf)

    if shelf.claim("team/c3")["status"]["reservedFor"][0]["uid"] != "foreign":
        assert outcome.result is Result.DONE
        return
    assert outcome.result is Result.STALE
    assert "team/c3" in outcome.reason
    assert shelf.claim("team/c3")["status"]["allocation"] == allocation("gpu/n9/gpu-7")
    others = replace(command, placements=command.placements[:3])
    assert is_untouched(shelf, others)
    assert shelf.node_of("team/p3") is None


@pytest.mark.parametrize("number", range(10))
async def test_a_conflict_at_any_claim_write_is_read_again_and_passed(number: int) -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)

    def interfere(writes: int, call: str) -> None:
        if writes == number:
            shelf.before_write = lambda *_: None
            shelf.touch("team/" + call.removesuffix("/status").rpartition("/")[2])

    shelf.before_write = interfere

    outcome = await run(command, shelf)

    assert outcome.result is Result.DONE
    assert is_whole(shelf, command)


async def test_a_claim_that_never_stands_still_makes_the_gang_try_another_time() -> None:
    command = a_gang_with_claims(members=2)
    shelf = a_shelf_for(command)

    def interfere(writes: int, call: str) -> None:
        if "/c1/status" in call and not shelf.claim("team/c1")["status"]:
            shelf.touch("team/c1")

    shelf.before_write = interfere

    outcome = await run(command, shelf)

    assert outcome.result is Result.RETRY
    assert is_untouched(shelf, command)


@pytest.mark.parametrize("number", range(10))
async def test_a_refused_claim_write_takes_everything_back(number: int) -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)

    def refuse(writes: int, call: str) -> None:
        if writes == number:
            shelf.before_write = lambda *_: None
            raise ApiFailure("forbidden", status=403, reason="Forbidden", retryable=False)

    shelf.before_write = refuse

    outcome = await run(command, shelf)

    assert outcome.result is Result.FAILED
    assert is_untouched(shelf, command)


@pytest.mark.parametrize("number", range(14))
async def test_a_write_whose_answer_was_lost_is_not_written_twice(number: int) -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)

    def lose_answer(writes: int, call: str) -> None:
        if writes == number + 1:
            shelf.after_write = lambda *_: None
            raise ApiFailure("no answer", status=0, retryable=True)

    shelf.after_write = lose_answer

    outcome = await run(command, shelf)

    assert outcome.result is Result.DONE
    assert is_whole(shelf, command)
    assert len(shelf.writes) == 14


async def test_a_deleted_claim_takes_the_gang_back() -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)

    def delete(writes: int, call: str) -> None:
        if writes == 7:
            shelf.objects.pop(claim_path("team/c2"), None)

    shelf.before_write = delete

    outcome = await run(command, shelf)

    if outcome.result is Result.DONE:
        pytest.fail("the claim was deleted before its status was written")
    assert outcome.result is Result.STALE
    others = replace(command, placements=command.placements[:2])
    assert is_untouched(shelf, others)


@pytest.mark.parametrize("writes_before", [0, 1, 6])
@pytest.mark.parametrize("what", ["pod", "device"])
async def test_what_went_away_before_the_binds_takes_the_gang_back(what: str, writes_before: int) -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)
    known = NothingKnown()

    def go_away(writes: int, call: str) -> None:
        if writes >= writes_before:
            broken = known.broken if what == "pod" else known.broken_device
            broken[PodKey("team/p2")] = f"{what} is gone"

    go_away(0, "")
    shelf.after_write = go_away

    outcome = await run(command, shelf, known=known)

    assert (outcome.result, outcome.reason) == (Result.STALE, f"{what} is gone")
    assert is_untouched(shelf, command)
    assert bool(shelf.writes) == bool(writes_before)


async def test_a_device_that_goes_after_the_first_bind_changes_nothing_any_more() -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)
    known = NothingKnown()
    lost: list[str] = []

    def lose_the_answer(writes: int, call: str) -> None:
        if call == f"POST {pod_path('team/p3')}/binding" and not lost:
            lost.append(call)
            known.broken_device[PodKey("team/p3")] = "device gpu/n3/gpu-0 is not published any more"
            raise ApiFailure("no answer", status=0, retryable=True)

    shelf.before_write = lose_the_answer

    outcome = await run(command, shelf, known=known)

    assert outcome.result is Result.DONE
    assert len(outcome.bound) == 4


async def test_a_running_gang_writes_no_claim_for_a_pod_whose_device_went_away() -> None:
    command = replace(a_gang_with_claims(), already_bound=2)
    shelf = a_shelf_for(command)
    known = NothingKnown()
    known.broken_device[PodKey("team/p1")] = "claim team/c1: device gpu/n1/gpu-0 is not published any more"

    outcome = await run(command, shelf, known=known)

    assert len(outcome.bound) == 3
    assert outcome.result is Result.STALE
    assert not any("/c1" in call for call in shelf.writes)
    reserved = {consumer["uid"] for consumer in shelf.claim("team/shared")["status"]["reservedFor"]}
    assert reserved == {"uid-team/p0", "uid-team/p2", "uid-team/p3"}


@pytest.mark.parametrize("arrived", [False, True])
async def test_a_bind_without_an_answer_is_not_tried_again_on_a_node_that_went_away(*, arrived: bool) -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)
    known = NothingKnown()
    tries: list[str] = []

    def lose(writes: int, call: str) -> None:
        if call == f"POST {pod_path('team/p3')}/binding":
            tries.append(call)
            known.broken[PodKey("team/p3")] = "node n3 of pod team/p3 is gone"
            raise ApiFailure("no answer", status=0, retryable=True)

    if arrived:
        shelf.after_write = lose
    else:
        shelf.before_write = lose

    outcome = await run(command, shelf, known=known)

    assert len(tries) == 1
    assert len(outcome.bound) == (4 if arrived else 3)
    assert outcome.result is (Result.DONE if arrived else Result.STALE)
    assert shelf.node_of("team/p3") == ("n3" if arrived else None)


async def test_after_the_first_bind_the_rest_is_completed_and_nothing_taken_back() -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)
    shelf.objects.pop(pod_path("team/p3"))

    outcome = await run(command, shelf)

    assert outcome.result is Result.STALE
    assert len(outcome.bound) == 3
    for index in range(3):
        assert shelf.node_of(f"team/p{index}") == f"n{index}"
        assert shelf.claim(f"team/c{index}")["status"]["reservedFor"]


async def test_a_running_gang_goes_on_without_the_pod_whose_claim_is_lost() -> None:
    command = replace(a_gang_with_claims(), already_bound=2)
    shelf = a_shelf_for(command)
    shelf.allocate_for_somebody_else("team/c1", "gpu/n9/gpu-7")

    outcome = await run(command, shelf)

    assert outcome.result is Result.STALE
    assert [shelf.node_of(f"team/p{index}") for index in range(4)] == ["n0", None, "n2", "n3"]


async def test_a_pod_bound_elsewhere_by_somebody_else_is_stale() -> None:
    command = BindGang(
        pod_group=a_gang_with_claims().pod_group, placements=(a_placement("team/p0", "n0"),), already_bound=0
    )
    shelf = Shelf()
    shelf.put_pod("team/p0", node="n7")

    outcome = await run(command, shelf)

    assert outcome.result is Result.STALE
    assert "n7" in outcome.reason


@pytest.mark.parametrize("writes_before_the_crash", range(15))
async def test_a_gang_killed_after_any_write_ends_whole_or_untouched(writes_before_the_crash: int) -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)

    await crash_after(writes_before_the_crash, command, shelf)
    assert len(shelf.writes) == min(writes_before_the_crash, 14)

    bound = [placement.pod for placement in command.placements if shelf.node_of(placement.pod)]
    if bound:
        await run(replace(command, already_bound=len(bound)), shelf)
        assert is_whole(shelf, command)
    else:
        for placement in command.placements:
            claims = tuple(claim.claim for claim in placement.claims)
            undo = UndoReservation(pod=placement.pod, uid=placement.uid, claims=claims)
            assert (await run(undo, shelf)).result is Result.DONE
        assert is_untouched(shelf, command)
