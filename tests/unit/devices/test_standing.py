"""Devices between decision and write: gone, tainted, or not told about yet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kai_sched.api.dra import translate_slice
from kai_sched.devices.standing import PublishedDevices
from kai_sched.model.devices import DeviceResult, DeviceTaintRule, ResourceSlice
from kai_sched.model.ids import NodeName
from kai_sched.model.selectors import Taint, Toleration
from tests.unit.devices.dra import DRIVER, NODE, a_device, a_slice

CHOSEN = DeviceResult(request="gpu", driver=DRIVER, pool="n1", device="gpu-1")
WORN = Taint("example.com/worn", "", "NoSchedule")


def published(*names: str, slice_name: str = "s0", of: int = 1, generation: int = 1) -> ResourceSlice:
    document = a_slice(*map(a_device, names), of=of, generation=generation)
    return replace(translate_slice(document), name=slice_name)


def problem(
    *slices: ResourceSlice, rules: tuple[DeviceTaintRule, ...] = (), chosen: DeviceResult = CHOSEN
) -> str:
    return PublishedDevices(slices, rules).problem(NODE, [chosen])


def test_a_device_of_the_newest_generation_stands() -> None:
    old, new = published("gpu-0", "gpu-1"), published("gpu-1", slice_name="s1", generation=2)

    assert problem(old) == ""
    assert problem(old, new) == ""


def test_a_device_that_only_an_old_generation_has_is_gone() -> None:
    old, new = published("gpu-0", "gpu-1"), published("gpu-0", slice_name="s1", generation=2)

    assert problem(old, new) == f"device {DRIVER}/n1/gpu-1 is not published any more"


def test_a_device_of_a_pool_that_is_gone_is_gone() -> None:
    assert "not published any more" in problem()


def test_a_pool_that_is_not_complete_says_nothing_about_what_is_missing() -> None:
    half = published("gpu-0", of=2, generation=2)

    assert problem(published("gpu-1"), half) == ""
    assert "not published" in problem(half, published("gpu-2", slice_name="s1", of=2, generation=2))


def test_another_nodes_slice_of_the_pool_may_be_ahead() -> None:
    here = published("gpu-1", of=2)
    there = replace(published("gpu-7", slice_name="s1", of=2, generation=2), node_name=NodeName("n2"))

    assert problem(here, there) == ""


def test_a_pool_over_several_nodes_is_complete_when_all_its_slices_are_there() -> None:
    here = published("gpu-0", of=2, generation=2)
    there = replace(published("gpu-7", slice_name="s1", of=2, generation=2), node_name=NodeName("n2"))

    assert problem(here) == ""
    assert "not published any more" in problem(here, there)


@pytest.mark.parametrize(
    ("rule", "is_blocked"),
    [
        (DeviceTaintRule("all", None, None, None, WORN), True),
        (DeviceTaintRule("this", DRIVER, "n1", "gpu-1", WORN), True),
        (DeviceTaintRule("other", DRIVER, "n1", "gpu-0", WORN), False),
        (DeviceTaintRule("soft", None, None, None, replace(WORN, effect="None")), False),
    ],
)
def test_a_rule_taints_the_devices_it_names(rule: DeviceTaintRule, *, is_blocked: bool) -> None:
    found = problem(published("gpu-1"), rules=(rule,))

    assert found == (
        f"device {DRIVER}/n1/gpu-1 has got taint example.com/worn:NoSchedule" if is_blocked else ""
    )


def test_a_taint_of_the_driver_counts_and_one_that_the_request_tolerates_does_not() -> None:
    worn = {"key": WORN.key, "effect": WORN.effect}
    tainted = translate_slice(a_slice(a_device("gpu-1", taints=[worn])))
    tolerant = replace(CHOSEN, tolerations=(Toleration(key=WORN.key, operator="Exists"),))

    assert "has got taint" in problem(tainted)
    assert problem(tainted, chosen=tolerant) == ""
