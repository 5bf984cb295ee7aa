"""What was found out about those who wait stands until it is found out anew, or their reason changes."""

from __future__ import annotations

from dataclasses import replace

from kai_sched.model.outlook import Action, ActionKind, Advice, Outlook, Prospect
from kai_sched.model.plan import Blocker, Plan
from kai_sched.operator.hopes import STANDS_SECONDS, Hopes
from kai_sched.operator.sentences import PROSPECTS_PATIENCE_SECONDS, Sentences, patience_for
from tests.builders import NOW
from tests.unit.operator.stage import WAITS

BARE = replace(WAITS, outlook=None)
WHOLE = replace(
    WAITS, blocker=Blocker.TOPOLOGY, message="not even alone", outlook=Outlook(prospect=Prospect.NEVER)
)
PLAN = Plan(now=NOW, verdicts=(BARE,))


def test_what_was_found_is_said_for_the_same_reason_until_it_is_old():
    hopes = Hopes()
    hopes.note(PLAN, (WHOLE,), 10.0)

    assert hopes.spoken(PLAN, 10.0).verdicts == (WHOLE,)
    fewer = replace(PLAN, verdicts=(replace(BARE, message="1 GPU is missing"),))
    assert hopes.spoken(fewer, 9.0 + STANDS_SECONDS).verdicts == (WHOLE,)
    assert hopes.spoken(PLAN, 10.0 + STANDS_SECONDS).verdicts == (BARE,)


def test_another_reason_is_said_as_it_is():
    hopes = Hopes()
    hopes.note(PLAN, (WHOLE,), 10.0)
    limited = replace(PLAN, verdicts=(replace(BARE, blocker=Blocker.QUEUE_LIMIT),))

    assert hopes.spoken(limited, 11.0) == limited
    assert hopes.spoken(PLAN, 12.0) == PLAN, "what was found is forgotten with its reason"


def test_nothing_is_kept_of_who_was_not_reached_or_does_not_wait():
    hopes = Hopes()
    hopes.note(PLAN, (BARE,), 10.0)
    hopes.note(Plan(now=NOW), (WHOLE,), 10.0)

    assert hopes.spoken(PLAN, 10.0) == PLAN


def test_half_an_answer_is_held_back_and_the_whole_one_replaces_it_at_once():
    sentences = Sentences()
    key = BARE.pod_group
    whole = replace(BARE, message="held by others", outlook=Outlook(prospect=Prospect.NOT_NOW))

    assert patience_for(BARE) == PROSPECTS_PATIENCE_SECONDS
    assert patience_for(whole) == 0.0
    assert sentences.of_cycle({key: BARE}, 0.0)[key].verdict == BARE
    told = sentences.of_cycle({key: whole}, 30.0)[key]
    assert told.verdict == whole
    assert told.at == 30.0
    assert sentences.of_cycle({key: BARE}, 40.0)[key].verdict == whole, "figures of the same reason wait"


def test_advice_stands_where_the_same_prospect_is_found_without_trying_any():
    hopes = Hopes()
    advice = Advice((Action(kind=ActionKind.END_GROUPS, groups=()),), is_verified=True)
    advised = replace(BARE, message="wait", outlook=Outlook(prospect=Prospect.NOT_NOW, advice=(advice,)))
    hopes.note(PLAN, (advised,), 10.0)
    hopes.note(PLAN, (replace(BARE, outlook=Outlook(prospect=Prospect.NOT_NOW)),), 20.0)

    assert hopes.spoken(PLAN, 20.0).verdicts == (advised,)
    hopes.note(PLAN, (WHOLE,), 30.0)
    assert hopes.spoken(PLAN, 30.0).verdicts == (WHOLE,)
