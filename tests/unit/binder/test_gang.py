"""A gang is written in order and bound whole; what waits and what runs side by side."""

from __future__ import annotations

import pytest

from kai_sched.api.times import parse_time
from kai_sched.binder.claims import FINALIZER
from kai_sched.binder.execute import Binder
from kai_sched.binder.gang import GangRun
from kai_sched.binder.outcomes import CommandOutcome, Result
from kai_sched.binder.wait import DeviceWait
from kai_sched.binder.writes import FencedCalls
from kai_sched.model.commands import BindGang
from tests.shelf import NothingKnown, OpenFence, Shelf, allocation, claim_path
from tests.unit.binder.gangs import (
    a_claim_placement,
    a_gang_with_claims,
    a_placement,
    a_shelf_for,
    is_whole,
    run,
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

    assert outcome.result is Result.UNPREPARED
    assert "Broken" in outcome.reason
    assert shelf.claim("team/c0")["status"] == {}
    assert shelf.node_of("team/p0") is None


async def test_devices_that_are_not_ready_in_time_are_given_back_at_that_time() -> None:
    shelf, command = a_prepared_device(ready="False")
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    wait = DeviceWait(timeout_seconds=5.0, clock=lambda: 1000.0 + sum(pauses), pause=pause)

    outcome = await GangRun(command, FencedCalls(shelf, OpenFence()), NothingKnown(), wait).run()

    assert outcome.result is Result.UNPREPARED
    assert outcome.reason == "devices of team/c0 not ready after 5 s"
    assert sum(pauses) == 5.0
    assert shelf.claim("team/c0")["status"] == {}
    assert shelf.node_of("team/p0") is None


@pytest.mark.parametrize(
    ("allocated", "left"),
    [("2026-01-01T11:59:57Z", 2.0), ("2025-12-31T12:00:00Z", 0.0), ("2026-01-01T13:00:00Z", 5.0)],
    ids=["three seconds ago", "the day before", "by a clock that is ahead"],
)
async def test_an_operator_started_anew_goes_on_counting_from_the_allocation(
    allocated: str, left: float
) -> None:
    shelf, command = a_prepared_device(ready="False")
    shelf.claim("team/c0")["status"]["allocation"]["allocationTimestamp"] = allocated
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    wait = DeviceWait(
        timeout_seconds=5.0,
        clock=lambda: 1000.0 + sum(pauses),
        epoch=lambda: parse_time("2026-01-01T12:00:00Z") + sum(pauses),
        pause=pause,
    )

    outcome = await GangRun(command, FencedCalls(shelf, OpenFence()), NothingKnown(), wait).run()

    assert outcome.result is Result.UNPREPARED
    assert sum(pauses) == left
    assert shelf.claim("team/c0")["status"] == {}


async def test_devices_that_are_ready_at_the_last_look_are_in_time() -> None:
    shelf, command = a_prepared_device(ready="False")
    now = [0.0]

    async def pause(seconds: float) -> None:
        now[0] += seconds
        if now[0] >= 5.0:
            shelf.claim("team/c0")["status"]["devices"][0]["conditions"][0]["status"] = "True"

    wait = DeviceWait(timeout_seconds=5.0, clock=lambda: now[0], pause=pause)

    outcome = await GangRun(command, FencedCalls(shelf, OpenFence()), NothingKnown(), wait).run()

    assert outcome.result is Result.DONE
    assert shelf.node_of("team/p0") == "n0"


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
    outcomes: list[CommandOutcome] = []
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
