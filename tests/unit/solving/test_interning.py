"""Specs that arrive as copies are the objects known before, and those that come no more are forgotten."""

from __future__ import annotations

import pickle
from dataclasses import replace

from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.solving.interning import KnownSpecs
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec


def a_world(*cpus: int) -> ClusterSnapshot:
    pods = [a_pod(f"p{number}", a_spec(cpu=cpu), group="g") for number, cpu in enumerate(cpus)]
    return a_snapshot(nodes=[a_node("n")], pods=pods, groups=[a_group("g")])


def arrived(snapshot: ClusterSnapshot, known: KnownSpecs) -> ClusterSnapshot:
    """As the child gets it: a copy."""
    copy: ClusterSnapshot = pickle.loads(pickle.dumps(snapshot, protocol=5))
    known.adopt(copy)
    return copy


def test_equal_specs_of_two_snapshots_are_one_object():
    known = KnownSpecs()
    world = a_world(100, 100, 200)

    first, second = arrived(world, known), arrived(world, known)

    assert second == world
    assert [a.spec is b.spec for a, b in zip(first.pods, second.pods, strict=True)] == [True] * 3
    assert len(known) == 2


def test_a_spec_that_changed_is_another_object():
    known = KnownSpecs()
    first, second = arrived(a_world(100), known), arrived(a_world(101), known)

    assert first.pods[0].spec != second.pods[0].spec


def test_what_comes_no_more_is_forgotten():
    known = KnownSpecs()
    for number in range(50):
        arrived(a_world(100, 1000 + number), known)

    assert len(known) <= 1 + 16
    assert arrived(a_world(100), known).pods[0].spec == replace(a_world(100).pods[0].spec)
