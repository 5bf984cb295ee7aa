"""The book of devices: who holds which, and whether another scheduler is giving some at the moment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kai_sched.cluster.device_book import RIVALRY_SECONDS, DeviceBook
from kai_sched.model.devices import Claim, ClaimAllocation, ClaimSpec, DeviceResult
from kai_sched.model.ids import ClaimKey, PodKey, Uid
from kai_sched.model.workloads import PodClaimRef
from tests.builders import a_pod


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def results(*names: str, **more: object) -> tuple[DeviceResult, ...]:
    return tuple(
        DeviceResult(request="gpu", driver="driver", pool="n1", device=name, **more)  # type: ignore[arg-type]
        for name in names
    )


def a_claim(name: str, *devices: DeviceResult) -> Claim:
    allocation = ClaimAllocation(results=devices) if devices else None
    return Claim(key=ClaimKey(name), uid=Uid(name), spec=ClaimSpec(), allocation=allocation)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> DeviceBook:
    return DeviceBook(clock)


def test_a_device_of_two_claims_names_the_other(book):
    ours = results("gpu-0", "gpu-1")
    assert book.other_holder("t/ours", ours) == ""
    book.claim_seen("t/ours", a_claim("t/ours", *ours))
    assert book.other_holder("t/ours", ours) == ""

    book.claim_seen("t/theirs", a_claim("t/theirs", *results("gpu-1", "gpu-2")))
    assert book.other_holder("t/ours", ours) == "device driver/n1/gpu-1 was given to claim t/theirs too"

    book.claim_seen("t/theirs", a_claim("t/theirs", *results("gpu-2")))
    assert book.other_holder("t/ours", ours) == ""
    book.claim_seen("t/theirs", a_claim("t/theirs"))
    book.claim_seen("t/ours", None)
    assert book._holders == book._held == {}


@pytest.mark.parametrize("more", [{"admin_access": True}, {"share_id": "part"}])
def test_devices_that_are_shared_or_only_looked_at_may_have_several_holders(book, more):
    shared = results("gpu-0", **more)
    book.claim_seen("t/a", a_claim("t/a", *shared))

    assert book.other_holder("t/b", shared) == ""
    assert book.other_holder("t/b", results("gpu-0")) == ""


def test_pods_of_others_that_wait_for_devices_make_rivals_and_a_while_longer(book, clock):
    claims = (PodClaimRef("gpus", None, is_own=True),)
    key = PodKey("team/theirs")
    book.pod_seen(PodKey("team/ours"), a_pod("ours", claims=claims))
    book.pod_seen(PodKey("team/plain"), a_pod("plain", group=None))
    book.pod_seen(PodKey("team/runs"), a_pod("runs", group=None, claims=claims, node="n1"))
    assert not book.others_take_devices

    theirs = a_pod("theirs", group=None, claims=claims)
    book.pod_seen(key, theirs)
    assert book.others_take_devices

    book.pod_seen(key, replace(theirs, node="n1"))
    clock.now += RIVALRY_SECONDS - 1
    assert book.others_take_devices
    clock.now += 1
    assert not book.others_take_devices

    book.pod_seen(key, theirs)
    book.pod_seen(key, None)
    clock.now += RIVALRY_SECONDS
    assert not book.others_take_devices
