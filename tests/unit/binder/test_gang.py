"""A gang is bound whole or taken back whole, whatever happens between its writes."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from kai_sched.binder import gang as gang_module
from kai_sched.binder import writes as writes_module
from kai_sched.binder.claims import FINALIZER
from kai_sched.binder.execute import Binder
from kai_sched.binder.gang import GangRun
from kai_sched.binder.outcomes import Outcome, Result
from kai_sched.binder.writes import FencedCalls
from kai_sched.errors import ApiFailure
from kai_sched.model.commands import BindGang, UndoReservation
from kai_sched.model.ids import PodKey
from tests.shelf import Crash, NothingKnown, OpenFence, Shelf, allocation, claim_path, pod_path
from tests.unit.binder.gangs import a_claim_placement, a_gang_with_claims, a_placement, a_shelf_for, run


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes_module, "BACKOFF_SECONDS", (0.0,))
    monkeypatch.setattr(gang_module, "DEVICE_POLL_SECONDS", 0.0)


def is_whole(shelf: Shelf, command: BindGang) -> bool:
    return all(shelf.node_of(p.pod) == p.node for p in command.placements)


def is_untouched(shelf: Shelf, command: BindGang) -> bool:
    claims = {claim.claim for placement in command.placements for claim in placement.claims}
    return not any(shelf.node_of(p.pod) for p in command.placements) and not any(
        shelf.claim(claim)["status"].get(part) for claim in claims for part in ("allocation", "reservedFor")
    )


async def test_every_claim_write_comes_before_the_first_bind() -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)

    outcome = await run(command, shelf)

    assert outcome.result is Result.DONE
    assert is_whole(shelf, command)
    kinds = ["bind" if call.startswith("POST") else "claim" for call in shelf.writes]
    assert kinds == ["claim"] * 10 + ["bind"] * 4


async def test_a_claim_gets_its_finalizer_before_allocation_and_reservation_together() -> None:
    command = a_gang_with_claims(members=1)
    shelf = a_shelf_for(command)

    await run(command, shelf)

    own = [call for call in shelf.writes if "/c0" in call]
    assert own == [f"PUT {claim_path('team/c0')}", f"PUT {claim_path('team/c0')}/status"]
    claim = shelf.claim("team/c0")
    assert claim["metadata"]["finalizers"] == [FINALIZER]
    assert claim["status"]["reservedFor"] == [{"resource": "pods", "name": "p0", "uid": "uid-team/p0"}]
    assert claim["spec"] == {"unknownField": "kept"}


async def test_a_shared_claim_is_written_once_for_all_its_pods() -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)

    await run(command, shelf)

    assert sum("/shared/status" in call for call in shelf.writes) == 1
    assert len(shelf.claim("team/shared")["status"]["reservedFor"]) == 4


async def test_running_a_command_twice_writes_nothing_the_second_time() -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)
    await run(command, shelf)
    written = len(shelf.writes)

    outcome = await run(command, shelf)

    assert outcome.result is Result.DONE
    assert len(outcome.bound) == 4
    assert len(shelf.writes) == written


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


async def test_a_shared_claim_takes_256_consumers_and_not_one_more() -> None:
    shelf = Shelf()
    reserved = [{"resource": "pods", "name": f"x{i}", "uid": f"x{i}"} for i in range(255)]
    shelf.put_claim("team/shared", allocation=allocation("net/fabric/c0"), reservedFor=reserved)
    gang = a_gang_with_claims().pod_group
    outcomes = []
    for name in ("p0", "p1"):
        shelf.put_pod(f"team/{name}")
        claim = a_claim_placement("team/shared", "net/fabric/c0", is_allocated=True)
        placement = a_placement(f"team/{name}", "n0", claim)
        outcomes.append(await run(BindGang(pod_group=gang, placements=(placement,), already_bound=0), shelf))

    assert [outcome.result for outcome in outcomes] == [Result.DONE, Result.FAILED]
    assert len(shelf.claim("team/shared")["status"]["reservedFor"]) == 256


async def test_binds_wait_until_the_devices_are_prepared() -> None:
    shelf, command = a_prepared_device(ready="False")
    polls: list[int] = []

    async def get(path: str, read=shelf.get) -> dict:
        document = await read(path)
        if document["status"].get("allocation"):
            polls.append(1)
        if len(polls) == 3:
            document["status"]["devices"][0]["conditions"][0]["status"] = "True"
        return document

    shelf.get = get  # type: ignore[method-assign]

    outcome = await run(command, shelf)

    assert outcome.result is Result.DONE
    assert len(polls) == 3


async def test_a_device_that_cannot_be_prepared_gives_the_claim_back() -> None:
    shelf, command = a_prepared_device(ready="False", failed="True")

    outcome = await run(command, shelf)

    assert outcome.result is Result.RETRY
    assert "Broken" in outcome.reason
    assert shelf.claim("team/c0")["status"] == {}
    assert shelf.node_of("team/p0") is None


async def test_a_closed_fence_stops_before_the_next_write() -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)
    fence = OpenFence()

    def close(writes: int, call: str) -> None:
        fence.is_open = writes < 6

    shelf.after_write = close

    outcome = await run(command, shelf, fence=fence)

    assert outcome.result is Result.RETRY
    assert len(shelf.writes) == 6


async def test_gangs_run_side_by_side_and_each_reports_once() -> None:
    shelf = Shelf()
    commands = []
    for index in range(300):
        shelf.put_pod(f"team/p{index}")
        placement = a_placement(f"team/p{index}", "n0")
        commands.append(BindGang(pod_group=placement.pod_group, placements=(placement,), already_bound=0))
    outcomes: list[Outcome] = []
    binder = Binder(shelf, NothingKnown(), OpenFence(), outcomes.append, gangs_at_once=8)

    binder.submit(commands)
    await binder.drained()

    assert [outcome.result for outcome in outcomes] == [Result.DONE] * 300
    assert binder.backlog == 0


def a_prepared_device(*, ready: str, failed: str = "False") -> tuple[Shelf, BindGang]:
    claim = a_claim_placement("team/c0", "gpu/n0/gpu-0")
    command = BindGang(
        pod_group=a_gang_with_claims().pod_group,
        placements=(a_placement("team/p0", "n0", claim),),
        already_bound=0,
    )
    shelf = Shelf()
    shelf.put_pod("team/p0")
    result = allocation("gpu/n0/gpu-0")["devices"]["results"][0]
    conditions = [{"type": "Ready", "status": ready}, {"type": "Broken", "status": failed}]
    allocated = {**result, "bindingConditions": ["Ready"], "bindingFailureConditions": ["Broken"]}
    shelf.put_claim(
        "team/c0",
        owner_uid="uid-team/p0",
        allocation={"devices": {"results": [allocated]}},
        devices=[{**result, "conditions": conditions}],
    )
    return shelf, command


@pytest.mark.parametrize("writes_before_the_crash", range(15))
async def test_a_gang_killed_after_any_write_ends_whole_or_untouched(writes_before_the_crash: int) -> None:
    command = a_gang_with_claims()
    shelf = a_shelf_for(command)

    def crash(writes: int, call: str) -> None:
        if writes >= writes_before_the_crash:
            raise Crash

    shelf.before_write = crash
    with contextlib.suppress(Crash):
        await GangRun(command, FencedCalls(shelf, OpenFence()), NothingKnown()).run()
    shelf.before_write = lambda *_: None
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
