"""One piece of hardware published in two forms, whole and for passthrough: who has one form keeps others off the other.

The driver withdraws the other form only after it has prepared the device; until then both stand in its slice.
"""

from __future__ import annotations

import pytest

from kai_sched.devices.allocator import DeviceRefusal, DeviceState, Options, allocate
from tests.unit.devices.dra import (
    DRIVER,
    NODE,
    a_claim,
    a_device,
    a_request,
    a_slice,
    an_index,
    ask,
    counters,
    devices_of,
)

BUS = "resource.kubernetes.io/pciBusID"


def both_forms(number: int, attribute: str = BUS):
    """A GPU as itself and as a device for virtual machines."""
    return [
        a_device(f"{kind}-{number}", attributes={"type": kind, attribute: f"address-{number}"})
        for kind in ("gpu", "vfio")
    ]


def asks(kind: str, name: str = "r", count: int = 1):
    return a_request(name, f'device.attributes["{DRIVER}"].type == "{kind}"', count=count)


@pytest.mark.parametrize("attribute", [BUS, "uuid"])
@pytest.mark.parametrize(("first", "second"), [("gpu", "vfio"), ("vfio", "gpu")])
def test_the_other_form_of_a_device_that_is_held_cannot_be_had(attribute, first, second):
    index = an_index([a_slice(*both_forms(0, attribute))])
    state = DeviceState()
    held = allocate(index, state, NODE, [a_claim(asks(first))])
    assert devices_of(held) == [[f"{first}-0"]]
    state.take(held[0])

    assert isinstance(allocate(index, state, NODE, [a_claim(asks(second))]), DeviceRefusal)
    assert isinstance(allocate(index, state, NODE, [a_claim(asks(first))]), DeviceRefusal)
    state.release(held[0])
    assert devices_of(allocate(index, state, NODE, [a_claim(asks(second))])) == [[f"{second}-0"]]


def test_one_pod_does_not_get_both_forms_of_one_device_either():
    slices = [a_slice(*both_forms(0))]

    assert isinstance(ask(slices, a_claim(asks("gpu", "a"), asks("vfio", "b"))), DeviceRefusal)
    assert isinstance(ask(slices, a_claim(asks("gpu")), a_claim(asks("vfio"))), DeviceRefusal)


def test_the_form_of_another_device_is_taken():
    slices = [a_slice(*both_forms(0), *both_forms(1))]

    assert devices_of(ask(slices, a_claim(asks("gpu")), a_claim(asks("vfio")))) == [["gpu-0"], ["vfio-1"]]


def test_what_a_search_gave_up_again_does_not_keep_the_other_form_away():
    """The first attempt takes gpu-0 for ``any``, so that the passthrough form of it is missing for ``two``."""
    slices = [a_slice(*both_forms(0), *both_forms(1), a_device("spare", attributes={"type": "other"}))]

    claim = a_claim(a_request("any"), asks("vfio", "two", count=2))

    assert devices_of(ask(slices, claim)) == [["spare", "vfio-0", "vfio-1"]]


def test_devices_of_one_type_at_one_address_are_parts_of_it_and_exclude_nobody():
    parts = [a_device(f"mig-{n}", attributes={"type": "mig", BUS: "address-0"}) for n in range(2)]

    assert devices_of(ask([a_slice(*parts)], a_claim(a_request(count=2)))) == [["mig-0", "mig-1"]]


def test_the_reference_gives_out_both_which_only_the_comparison_with_it_copies():
    claims = [a_claim(asks("gpu")), a_claim(asks("vfio"))]

    outcome = ask([a_slice(*both_forms(0))], *claims, options=Options(bug_compatible=True))

    assert devices_of(outcome) == [["gpu-0"], ["vfio-0"]]


def with_counters(kind: str, name: str, amount: str):
    return a_device(name, counters={"memory": amount}, attributes={"type": kind, BUS: "address-0"})


def test_the_form_for_passthrough_excludes_a_gpu_that_counts_its_memory_and_its_partitions():
    passthrough = a_device("vfio-0", attributes={"type": "vfio", BUS: "address-0"})
    forms = [with_counters("gpu", "gpu-0", "2"), with_counters("mig", "mig-0", "1"), passthrough]
    slices = [a_slice(*forms, of=2), a_slice(sharedCounters=counters(memory="2"), of=2, name="sets")]

    for kind in ("gpu", "mig"):
        assert isinstance(ask(slices, a_claim(asks(kind)), a_claim(asks("vfio"))), DeviceRefusal)
    assert devices_of(ask(slices, a_claim(asks("vfio")))) == [["vfio-0"]]


def test_partitions_of_one_gpu_exclude_each_other_by_their_counters_only():
    forms = [with_counters("gpu", "gpu-0", "2"), *(with_counters("mig", f"mig-{n}", "1") for n in range(3))]
    slices = [a_slice(*forms, of=2), a_slice(sharedCounters=counters(memory="2"), of=2, name="sets")]

    assert devices_of(ask(slices, a_claim(asks("mig", count=2)))) == [["mig-0", "mig-1"]]
    assert isinstance(ask(slices, a_claim(asks("mig")), a_claim(asks("gpu"))), DeviceRefusal)
