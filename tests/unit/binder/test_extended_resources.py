"""The claim made for extended resources: created, allocated, told, bound; and taken back whole."""

from __future__ import annotations

import pytest

from kai_sched.binder.outcomes import Result
from kai_sched.errors import ApiFailure
from kai_sched.model.commands import BindGang, UndoReservation
from kai_sched.model.devices import AllocationMode, ClaimAllocation, ClaimSpec, DeviceRequest, DeviceResult
from kai_sched.model.ids import ClaimKey, PodGroupKey, Uid
from kai_sched.model.plan import ClaimCreation, ClaimPlacement, RequestMapping
from tests.shelf import Shelf, allocation, claim_path, pod_path
from tests.unit.binder.gangs import a_placement, crash_after, run

REQUEST = "container-0-request-0"


def a_made_claim(pod: str, device: str) -> ClaimPlacement:
    driver, pool, name = device.split("/")
    request = DeviceRequest(name=REQUEST, device_class="gpu", mode=AllocationMode.EXACT_COUNT, count=1)
    result = DeviceResult(request=REQUEST, driver=driver, pool=pool, device=name)
    return ClaimPlacement(
        claim=ClaimKey(f"{pod}-extended"),
        uid=Uid("for-nobody"),
        devices=(device,),
        allocation=ClaimAllocation(results=(result,)),
        creation=ClaimCreation(
            ClaimSpec(requests=(request,)), (RequestMapping("main", "example.com/gpu", REQUEST),)
        ),
    )


def a_gang(members: int = 2, *, device: str = "gpu-0") -> BindGang:
    placements = tuple(
        a_placement(f"team/p{index}", f"n{index}", a_made_claim(f"team/p{index}", f"gpu/n{index}/{device}"))
        for index in range(members)
    )
    return BindGang(pod_group=PodGroupKey("team/gang"), placements=placements, already_bound=0)


def a_shelf(command: BindGang) -> Shelf:
    shelf = Shelf()
    for placement in command.placements:
        shelf.put_pod(placement.pod)
    return shelf


def told(shelf: Shelf, pod: str) -> object:
    return shelf.objects[pod_path(pod)].get("status", {}).get("extendedResourceClaimStatus")


def nothing_is_left(shelf: Shelf, command: BindGang) -> bool:
    return not any(
        claim_path(part.claim) in shelf.objects or told(shelf, placement.pod) or shelf.node_of(placement.pod)
        for placement in command.placements
        for part in placement.claims
    )


async def test_the_claim_is_created_protected_allocated_and_told_before_the_pod_is_bound() -> None:
    command = a_gang(members=1)
    shelf = a_shelf(command)

    outcome = await run(command, shelf)

    assert outcome.result is Result.DONE
    claim = claim_path("team/p0-extended")
    assert shelf.writes == [
        f"POST {claim.rpartition('/')[0]}",
        f"PUT {claim}",
        f"PUT {claim}/status",
        f"PATCH {pod_path('team/p0')}/status",
        f"POST {pod_path('team/p0')}/binding",
    ]
    made = shelf.claim("team/p0-extended")
    assert made["metadata"]["annotations"] == {"resource.kubernetes.io/extended-resource-claim": "true"}
    assert made["metadata"]["ownerReferences"][0]["uid"] == "uid-team/p0"
    assert told(shelf, "team/p0") == {
        "resourceClaimName": "p0-extended",
        "requestMappings": [
            {"containerName": "main", "resourceName": "example.com/gpu", "requestName": REQUEST}
        ],
    }


async def test_what_is_made_for_a_gang_is_made_for_all_before_the_first_bind() -> None:
    command = a_gang(members=3)
    shelf = a_shelf(command)

    await run(command, shelf)

    binds = [number for number, call in enumerate(shelf.writes) if call.endswith("/binding")]
    assert binds == list(range(len(shelf.writes) - 3, len(shelf.writes)))


async def test_a_refused_binding_takes_the_claim_and_the_word_back() -> None:
    command = a_gang()
    shelf = a_shelf(command)

    def refuse(_number: int, call: str) -> None:
        if call.endswith("/binding"):
            raise ApiFailure("no", status=422, reason="Invalid", retryable=False)

    shelf.before_write = refuse

    outcome = await run(command, shelf)

    assert outcome.result is Result.FAILED
    assert nothing_is_left(shelf, command)


async def test_a_claim_left_by_an_attempt_on_other_devices_is_deleted_not_used() -> None:
    command = a_gang(members=1)
    shelf = a_shelf(command)
    await run(command, shelf)
    shelf.objects[pod_path("team/p0")]["spec"].clear()
    elsewhere = a_gang(members=1, device="gpu-7")

    outcome = await run(elsewhere, shelf)

    assert outcome.result is Result.STALE
    assert claim_path("team/p0-extended") not in shelf.objects
    assert (await run(elsewhere, shelf)).result is Result.DONE


async def test_a_foreign_claim_of_that_name_is_left_alone() -> None:
    command = a_gang(members=1)
    shelf = a_shelf(command)
    shelf.put_claim("team/p0-extended", owner_uid="somebody", allocation=allocation("gpu/n9/gpu-9"))

    outcome = await run(command, shelf)

    assert outcome.result is Result.STALE
    assert shelf.claim("team/p0-extended")["status"]["allocation"] == allocation("gpu/n9/gpu-9")


@pytest.mark.parametrize("writes_before_the_crash", range(11))
async def test_a_gang_killed_after_any_write_is_undone_or_completed(writes_before_the_crash: int) -> None:
    command = a_gang()
    shelf = a_shelf(command)

    await crash_after(writes_before_the_crash, command, shelf)
    assert len(shelf.writes) == min(writes_before_the_crash, 10)

    bound = [placement for placement in command.placements if shelf.node_of(placement.pod)]
    waiting = [placement for placement in command.placements if placement not in bound]
    for placement in waiting:
        undo = UndoReservation(
            pod=placement.pod, uid=placement.uid, claims=tuple(part.claim for part in placement.claims)
        )
        assert (await run(undo, shelf)).result is Result.DONE
        assert told(shelf, placement.pod) is None
        assert not any(claim_path(part.claim) in shelf.objects for part in placement.claims)
    again = BindGang(pod_group=command.pod_group, placements=tuple(waiting), already_bound=len(bound))
    assert not waiting or (await run(again, shelf)).result is Result.DONE
    assert all(shelf.node_of(placement.pod) == placement.node for placement in command.placements)
