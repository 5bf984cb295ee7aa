"""Outlook → the fields that it adds to a verdict, in plans and in the status of pod groups."""

from __future__ import annotations

from typing import Any, Final

from kai_sched.model.outlook import Action, Outlook

Document = dict[str, Any]
MOST_ENTRIES: Final = 16
"""Longer lists are cut; the sentence of the verdict says how many there are."""


def outlook_document(outlook: Outlook) -> Document:
    """``prospect``, and what of ``decidedBy``, ``heldBy``, ``goesFirst`` and ``advice`` there is."""
    document: Document = {"prospect": outlook.prospect.value} if outlook.prospect is not None else {}
    bound = outlook.bound
    if bound is not None:
        document["decidedBy"] = {
            "fact": bound.fact.value,
            "subject": bound.subject or None,
            "resource": bound.resource or None,
            "asked": _number(bound.asked),
            "there": _number(bound.there),
        }
    if outlook.held_by:
        document["heldBy"] = [
            {
                "podGroup": one.group,
                **_present(queue=one.queue),
                "resource": one.resource.value,
                "amount": _number(one.amount),
                **_present(aboveFairShare=_number(one.over_share)),
            }
            for one in outlook.held_by[:MOST_ENTRIES]
        ]
    if outlook.goes_first:
        document["goesFirst"] = list(outlook.goes_first[:MOST_ENTRIES])
    if outlook.advice:
        document["advice"] = [
            {"verified": advice.is_verified, "actions": [_action(action) for action in advice.actions]}
            for advice in outlook.advice
        ]
    return document


def _action(action: Action) -> Document:
    return {
        "kind": action.kind.value,
        **_present(
            podGroups=list(action.groups[:MOST_ENTRIES]),
            nodes=list(action.nodes[:MOST_ENTRIES]),
            queue=action.queue,
            resource=action.resource,
            amount=_number(action.amount),
            key=action.key,
        ),
    }


def _present(**fields: object) -> Document:
    return {name: value for name, value in fields.items() if value}


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value
