"""The reference's known bugs, one test each: what its table's commit says with the bug copied, and what is right.

They are about that commit; release v0.37.1 answers like ours (the differential fuzz asks it).
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from kai_sched.devices.allocator import DeviceRefusal, Options, RefusalKind
from kai_sched.devices.capacity import consumed_amounts
from kai_sched.model.devices import DeviceCapacity, RequestPolicy
from tests.unit.devices.dra import a_claim, a_device, a_request, a_slice, ask, counters, devices_of

WITH_BUGS = Options(bug_compatible=True)
RIGHT = Options()
DRIVER = "gpu.example.com"


def is_no_fit(outcome) -> bool:
    return isinstance(outcome, DeviceRefusal) and outcome.kind is RefusalKind.NO_FIT


def test_counters_of_a_device_that_its_taint_keeps_away_stay_free_for_the_next_one():
    sick = a_device("sick", counters={"memory": "1"}, taints=[{"key": "sick", "effect": "NoSchedule"}])
    slices = [
        a_slice(sick, a_device("well", counters={"memory": "1"}), of=2, name="devices"),
        a_slice(sharedCounters=counters(memory="1"), of=2, name="counters"),
    ]

    assert is_no_fit(ask(slices, a_claim(), options=WITH_BUGS))
    assert devices_of(ask(slices, a_claim(), options=RIGHT)) == [["well"]]


def test_counters_of_a_device_that_serves_many_are_refunded_when_the_search_turns_back():
    slices = [
        a_slice(
            a_device("first", counters={"memory": "1"}, allowMultipleAllocations=True),
            a_device(
                "second", counters={"memory": "1"}, allowMultipleAllocations=True, attributes={"fast": True}
            ),
            of=2,
            name="devices",
        ),
        a_slice(sharedCounters=counters(memory="1"), of=2, name="counters"),
    ]
    claim = a_claim(a_request("any"), a_request("fast", f'has(device.attributes["{DRIVER}"].fast)'))

    assert is_no_fit(ask(slices, claim, options=WITH_BUGS))
    assert devices_of(ask(slices, claim, options=RIGHT)) == [["second", "second"]]


def test_pools_of_two_drivers_with_one_name_have_counters_of_their_own():
    slices = [
        part
        for driver in ("a.example.com", "b.example.com")
        for part in (
            a_slice(a_device("gpu", counters={"memory": "1"}), driver=driver, of=2, name=f"{driver}-devices"),
            a_slice(sharedCounters=counters(memory="1"), driver=driver, of=2, name=f"{driver}-counters"),
        )
    ]
    claim = a_claim(a_request(count=2))

    assert is_no_fit(ask(slices, claim, options=WITH_BUGS))
    assert devices_of(ask(slices, claim, options=RIGHT)) == [["gpu", "gpu"]]


def test_distinct_attribute_remembers_every_device_of_a_request():
    slices = [a_slice(*(a_device(f"gpu-{n}", attributes={"zone": zone}) for n, zone in enumerate((1, 2, 1))))]
    claim = a_claim(a_request(count=3), constraints=[{"distinctAttribute": f"{DRIVER}/zone"}])

    assert devices_of(ask(slices, claim, options=WITH_BUGS)) == [["gpu-0", "gpu-1", "gpu-2"]]
    assert is_no_fit(ask(slices, claim, options=RIGHT))


def test_a_list_that_matched_gets_its_values_back_when_the_search_turns_back():
    fabrics = (["a", "b"], ["b"], ["a"], ["a"])
    slices = [
        a_slice(*(a_device(f"gpu-{n}", attributes={"fabrics": names}) for n, names in enumerate(fabrics)))
    ]
    claim = a_claim(a_request(count=3), constraints=[{"matchAttribute": f"{DRIVER}/fabrics"}])

    assert is_no_fit(ask(slices, claim, options=WITH_BUGS))
    assert devices_of(ask(slices, claim, options=RIGHT)) == [["gpu-0", "gpu-2", "gpu-3"]]


@pytest.mark.parametrize("text", ["1Gi", "1024Mi", "1073741824"])
def test_a_default_is_allowed_however_its_quantity_is_written(text):
    """The reference compares with the default by its spelling; no object that the API server takes can tell."""
    policy = {"default": "1024Mi", "validRange": {"min": "1Mi", "max": "512Mi"}}
    shared = a_device(
        "gpu", allowMultipleAllocations=True, capacity={"memory": {"value": "8Gi", "requestPolicy": policy}}
    )
    claim = a_claim(a_request(capacity={"requests": {"memory": text}}))

    assert devices_of(ask([a_slice(shared)], claim, options=RIGHT)) == [["gpu"]]
    assert is_no_fit(ask([a_slice(shared)], a_claim(a_request(capacity={"requests": {"memory": "1025Mi"}}))))


def test_a_default_counts_by_value_in_the_arithmetic_too():
    policy = RequestPolicy(default=Fraction(5), has_range=True, range_min=Fraction(1), range_max=Fraction(4))
    capacity = (("memory", DeviceCapacity(Fraction(8), policy)),)

    assert consumed_amounts((("memory", Fraction(5)),), capacity, is_fractional=True) == {"memory": 5}
    stricter = (("memory", DeviceCapacity(Fraction(8), replace(policy, default=None))),)
    assert consumed_amounts((("memory", Fraction(5)),), stricter, is_fractional=True) is None
