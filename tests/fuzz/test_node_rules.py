"""Node rules beside kube-scheduler, as long as CI can wait: the same nodes for every pod."""

import pytest

from tests.fuzz.node_rules.cases import random_case
from tests.fuzz.node_rules.compare import Difference, compare
from tests.fuzz.node_rules.judge import a_judge
from tests.fuzz.node_rules.sequence import WrongStep

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
SEEDS = range(2000, 2006)
FORGETTING = (2004, 2007, 2012)
"""Cases with ports and spread, of which one is enough: the order of a plan depends on which pods were created first."""


@pytest.fixture(scope="module")
def judge():
    with a_judge() as running:
        yield running


def test_six_random_clusters_have_the_nodes_that_kube_scheduler_finds(judge):
    tally = compare(SEEDS, 12, judge)

    assert tally.differences == []
    assert tally.pairs > 300
    assert tally.steps > 20
    assert tally.pairs // 10 < tally.feasible < tally.pairs * 9 // 10
    assert len(tally.reasons) >= 10


def test_the_comparison_notices_a_rule_that_is_not_asked(judge, monkeypatch):
    """The comparison itself: without taints on our side it must complain, and say on which side the node is."""
    monkeypatch.setattr("kai_sched.placement.rules.static._keep_tolerated", lambda *_: None)

    tally = compare(SEEDS[2:3], 12, judge)

    found = [difference for difference in tally.differences if isinstance(difference, Difference)]
    assert found
    assert all(difference.ours.nodes >= difference.theirs.nodes for difference in found)


def test_the_comparison_notices_a_plan_that_forgets_its_own_pods(judge, monkeypatch):
    monkeypatch.setattr("kai_sched.placement.rules.dynamic.DynamicRules.place", lambda *_, **__: None)
    monkeypatch.setattr("kai_sched.placement.rules.dynamic.DynamicRules.remove", lambda *_, **__: None)

    tally = compare(FORGETTING, 12, judge)

    assert tally.differences
    assert all(isinstance(difference, WrongStep) for difference in tally.differences)


def test_a_seed_is_one_case():
    assert random_case(7, 3) == random_case(7, 3)
    assert random_case(7, 3) != random_case(8, 3)
