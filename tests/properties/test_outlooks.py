"""Prospects and advice over random clusters: never means not even alone, and every verified advice works when taken."""

from __future__ import annotations

from hypothesis import given, settings

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.outlook import Prospect
from kai_sched.model.plan import Outcome, Verdict
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.planning.cycle import plan_cycle
from kai_sched.planning.outlook.counterfactual import alone, applied, beside_running
from tests.strategies import snapshots

FITS = {Outcome.PLACED, Outcome.PIPELINED}


def verdicts_in(snapshot: ClusterSnapshot) -> dict[PodGroupKey, Verdict]:
    return {verdict.pod_group: verdict for verdict in plan_cycle(snapshot, Policy()).verdicts}


@given(snapshots())
@settings(max_examples=settings.default.max_examples // 10)
def test_a_prospect_is_what_planning_alone_and_beside_the_running_says(snapshot: ClusterSnapshot):
    for group, verdict in verdicts_in(snapshot).items():
        prospect = verdict.outlook.prospect if verdict.outlook is not None else None
        if prospect is None:
            continue  # Nothing is promised, as where a queue or pods are missing.
        fits_alone = verdicts_in(alone(snapshot, group))[group].outcome in FITS
        assert fits_alone == (prospect is not Prospect.NEVER)
        if prospect is Prospect.NOT_YOUR_TURN:
            assert verdicts_in(beside_running(snapshot, group))[group].outcome in FITS


@given(snapshots())
@settings(max_examples=settings.default.max_examples // 10)
def test_every_verified_advice_works_when_it_is_taken(snapshot: ClusterSnapshot):
    for group, verdict in verdicts_in(snapshot).items():
        for advice in verdict.outlook.advice if verdict.outlook is not None else ():
            changed = applied(snapshot, group, advice)
            assert advice.is_verified
            assert changed is not None
            assert verdicts_in(changed)[group].outcome is Outcome.PLACED
