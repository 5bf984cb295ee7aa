"""Verdicts of selectors are remembered by the expression and by the facts that it looked at, and by nothing else."""

from __future__ import annotations

import pytest

from kai_sched.api.dra import translate_slice
from kai_sched.devices.cel.device_view import DeviceFacts
from kai_sched.devices.cel.selector import Selector
from tests.unit.devices.dra import DRIVER, a_device, a_slice

LARGE = f'device.attributes["{DRIVER}"].model == "large" && device.capacity["{DRIVER}"].memory.isGreaterThan(quantity("1Gi"))'


@pytest.fixture
def evaluations(monkeypatch):
    """Counts real evaluations."""
    done = []
    original = Selector._evaluated

    def counted(self, *arguments):
        done.append(self.expression)
        return original(self, *arguments)

    monkeypatch.setattr(Selector, "_evaluated", counted)
    return done


def facts(**attributes) -> DeviceFacts:
    memory = attributes.pop("memory", "80Gi")
    device = a_device("gpu", attributes=attributes, capacity={"memory": memory})
    return DeviceFacts(DRIVER, translate_slice(a_slice(device)).devices[0])


def test_devices_that_differ_in_what_is_not_read_share_a_verdict(evaluations):
    selector = Selector(LARGE)

    verdicts = {selector.verdict(facts(model="large", uuid=f"u-{n}")).is_match for n in range(50)}

    assert verdicts == {True}
    assert len(evaluations) == 1


@pytest.mark.parametrize(
    ("other", "is_match"),
    [({"model": "small"}, False), ({"model": "large", "memory": "1Gi"}, False), ({"model": "large"}, True)],
)
def test_a_device_that_differs_in_what_is_read_gets_its_own(evaluations, other, is_match):
    selector = Selector(LARGE)
    selector.verdict(facts(model="large", memory="2Gi"))

    assert selector.verdict(facts(**other)).is_match is is_match
    assert len(evaluations) == 2


def test_what_a_short_circuit_skipped_is_not_part_of_the_key(evaluations):
    selector = Selector(LARGE)

    for memory in ("1Gi", "2Gi", "3Gi"):
        assert not selector.verdict(facts(model="small", memory=memory)).is_match

    assert len(evaluations) == 1


def test_absence_is_a_fact_too(evaluations):
    selector = Selector(f'has(device.attributes["{DRIVER}"].model)')

    assert not selector.verdict(facts()).is_match
    assert selector.verdict(facts(model="x")).is_match
    assert not selector.verdict(facts(uuid="y")).is_match
    assert len(evaluations) == 2


def test_errors_are_remembered_as_well(evaluations):
    selector = Selector(f'device.attributes["{DRIVER}"].model == "x"')

    errors = {selector.verdict(facts(uuid=f"u-{n}")).error for n in range(5)}

    assert errors == {"no such key: model"}
    assert len(evaluations) == 1


def test_one_is_never_true(evaluations):
    """Equal hashes in Python, different values in CEL."""
    selector = Selector(f'device.attributes["{DRIVER}"].flag == true')

    assert selector.verdict(facts(flag=True)).is_match
    assert not selector.verdict(facts(flag=1)).is_match


def test_what_is_remembered_does_not_show_where_fewer_steps_are_allowed(evaluations):
    """A decision must not depend on what was decided before."""
    slow = Selector("[1,2,3,4,5,6,7,8].all(x, [1,2,3,4,5,6,7,8].all(y, x + y > 0))")
    assert slow.verdict(facts(), 10).is_cut_short

    assert slow.verdict(facts()).is_match

    assert slow.verdict(facts(), 10).is_cut_short
