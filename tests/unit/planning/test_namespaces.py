"""Queues that are for some namespaces only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kai_sched.api.translate.queues import translate_queue
from kai_sched.model.plan import Verdict
from kai_sched.model.policy import Policy
from kai_sched.model.selectors import LabelSelector, Operator, Requirement
from kai_sched.model.snapshot import Unreadable
from kai_sched.planning.cycle import plan_cycle
from tests.builders import a_group, a_node, a_pod, a_queue, a_snapshot

RED = LabelSelector((Requirement("team", Operator.IN, ("red",)),))
BY_NAME = LabelSelector((Requirement("kubernetes.io/metadata.name", Operator.IN, ("team",)),))


def verdict(*, above: LabelSelector | None = None, own: LabelSelector | None = None, labels=()) -> Verdict:
    """What a group of namespace "team" hears in a queue with these selectors."""
    queues = (
        replace(a_queue("dept", parent=None), namespace_selector=above),
        replace(a_queue("team-a"), namespace_selector=own),
    )
    snapshot = a_snapshot(nodes=[a_node("n")], pods=[a_pod("p")], groups=[a_group("p")], queues=queues)
    fleet = replace(snapshot.fleet, namespace_labels=(("team", tuple(labels)),))
    (told,) = plan_cycle(replace(snapshot, fleet=fleet), Policy()).verdicts
    return told


@pytest.mark.parametrize("place", ["own", "above"])
def test_a_namespace_that_a_queue_or_one_above_does_not_select_may_not_use_it(place: str) -> None:
    told = verdict(**{place: RED})

    name = "team-a" if place == "own" else "dept"
    assert (told.outcome, told.blocker) == ("Unplaced", "QueueNotFound")
    assert told.message.startswith(
        f"queue 'team-a' is not for namespace team: the namespaceSelector of queue '{name}'"
    )
    assert verdict(**{place: RED}, labels=[("team", "blue")]).outcome == "Unplaced"


def test_a_namespace_that_is_selected_may() -> None:
    assert verdict(own=RED, above=RED, labels=[("team", "red")]).outcome == "Placed"
    assert verdict(own=LabelSelector()).outcome == "Placed"
    assert verdict(own=BY_NAME).outcome == "Placed"
    assert verdict().outcome == "Placed"


def _queue(selector: object):
    spec = {"resources": {}, "kaiSched": {"namespaceSelector": selector}}
    return translate_queue({"metadata": {"name": "q"}, "spec": spec})


def test_the_selector_is_read_as_kubernetes_writes_it() -> None:
    assert _queue(None).namespace_selector is None
    assert _queue({}).namespace_selector == LabelSelector()
    assert _queue({"matchLabels": {"team": "red"}}).namespace_selector == RED


def test_a_selector_that_makes_no_sense_makes_the_queue_unreadable_and_names_the_field() -> None:
    told = _queue({"matchExpressions": [{"key": "age", "operator": "Gt", "values": ["1"]}]})

    assert isinstance(told, Unreadable)
    assert told.field == "spec.kaiSched.namespaceSelector"
