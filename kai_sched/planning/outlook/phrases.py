"""Phrases: outlooks as the sentences of verdicts. A sentence promises only what a plan made again has shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from kai_sched.model.ids import QueueName
from kai_sched.model.outlook import Action, ActionKind, Bound, Fact, Holder, Outlook, Prospect
from kai_sched.model.queues import QueueShare, QuotaResource
from kai_sched.model.resources import amount_text
from kai_sched.model.words import counted
from kai_sched.placement.refusal import Refusal

_MOST_NAMED: Final = 4
_LONGEST_NAME: Final = 120
_LONGEST: Final = 1000
"""Characters of a sentence: what conditions and events take."""
_OF_QUEUES: Final = frozenset({Fact.QUEUE_LIMIT, Fact.QUEUE_QUOTA})


def within_bounds(text: str) -> str:
    """The text, cut with a word about what was left out where names make it too long."""
    if len(text) <= _LONGEST:
        return text
    left_out = f" ... ({len(text) - _LONGEST + 40} more characters)"
    return text[: _LONGEST - len(left_out)] + left_out


def about(outlook: Outlook, queue: QueueName, shares: Mapping[QueueName, QueueShare]) -> str:
    """What a verdict adds to its reason: whether waiting helps, and who is in the way."""
    match outlook.prospect:
        case None:
            return ""
        case Prospect.NEVER:
            return _about_never(outlook.bound)
        case Prospect.NOT_NOW:
            return _about_holders(outlook, queue, shares)
        case Prospect.NOT_YOUR_TURN:
            first = f": {_named(outlook.goes_first)}" if outlook.goes_first else ""
            return f"It fits beside all that runs, but others go first{first}"


def next_step(outlook: Outlook, refusal: Refusal) -> str:
    """What to do. Without advice that was tried, what is missing."""
    if outlook.advice:
        return instructions(outlook)
    bound = outlook.bound
    if outlook.prospect is Prospect.NEVER and bound is not None and bound.fact is Fact.FLEET:
        return f"add nodes: {_missing(bound)}"
    return refusal.next_step


def instructions(outlook: Outlook) -> str:
    """The advice in words; "" where there is none."""
    return "; or ".join(" and ".join(map(_instruction, advice.actions)) for advice in outlook.advice)


def amount_in_words(resource: QuotaResource, amount: float) -> str:
    """Such as "8 GPUs", "2.5 CPU cores", "16 GB of memory"."""
    match resource:
        case QuotaResource.GPU:
            return f"{_number(amount)} {'GPU' if amount == 1 else 'GPUs'}"
        case QuotaResource.CPU:
            return f"{_number(amount / 1000)} CPU {'core' if amount == 1000 else 'cores'}"
        case QuotaResource.MEMORY:
            return f"{_number(amount / 1000)} GB of memory"


def _about_never(bound: Bound | None) -> str:
    if bound is not None and bound.fact in _OF_QUEUES:
        return "It can never run so, even if nothing else did"
    return "It can never run so on this fleet, even if all of it were free"


def _about_holders(outlook: Outlook, queue: QueueName, shares: Mapping[QueueName, QueueShare]) -> str:
    if not outlook.held_by:
        return "It fits once others have ended"
    named = [_holder(one) for one in outlook.held_by[:_MOST_NAMED]]
    text = f"Held by {_listed(named, len(outlook.held_by))}"
    if outlook.goes_first:
        text += f"; before it in turn: {_named(outlook.goes_first)}"
    resource = outlook.held_by[0].resource
    over = {one.queue: one.over_share for one in outlook.held_by if one.over_share > 0}
    own = shares.get(queue)
    owed = own.fair_share.get(resource) - own.allocated.get(resource) if own is not None else 0.0
    if over and owed > 0 and own is not None:
        parts = [
            f"queue {name} is {amount_in_words(resource, amount)} above its fair share"
            for name, amount in sorted(over.items())[:_MOST_NAMED]
        ]
        held = amount_in_words(resource, own.allocated.get(resource))
        text += f"; {', '.join(parts)}; queue {queue} holds {held} of its fair share of {_number_of(own, resource)}"
    return text


def _holder(holder: Holder) -> str:
    whose = f"queue {holder.queue}" if holder.queue else "another scheduler's"
    return f"{_short(holder.group)} ({whose}, {amount_in_words(holder.resource, holder.amount)})"


def _instruction(action: Action) -> str:
    return _INSTRUCTIONS[action.kind](action)


def _raise(action: Action) -> str:
    what = "limit" if action.kind is ActionKind.RAISE_LIMIT else "quota"
    resource = QuotaResource(action.resource)
    return f"raise the {resource} {what} of {action.queue} to {amount_in_words(resource, action.amount)}"


def _ask_for_less(action: Action) -> str:
    if action.key:
        return f"ask for at most {counted(round(action.amount), 'device')} in request {action.key}"
    return (
        f"ask for at most {amount_text(action.resource, round(action.amount))} {action.resource} in each pod"
    )


def _of_subgroup(action: Action, preposition: str) -> str:
    return f" {preposition} subgroup {action.key}" if action.key else ""


_INSTRUCTIONS: Final[Mapping[ActionKind, Callable[[Action], str]]] = {
    ActionKind.END_GROUPS: lambda action: f"wait for {_named(action.groups)} to end",
    ActionKind.ADD_NODES: lambda action: (
        f"add {counted(round(action.amount), 'node')} like {action.nodes[0]}"
    ),
    ActionKind.REPAIR_NODES: lambda action: f"make {_named(action.nodes)} ready",
    ActionKind.UNCORDON: lambda action: f"uncordon {_named(action.nodes)}",
    ActionKind.REMOVE_TAINT: lambda action: (
        f"tolerate taint {action.key}, or remove it from {_named(action.nodes)}"
    ),
    ActionKind.DROP_SELECTOR: lambda action: (
        f"correct or drop what the pods demand of node label {action.key}"
    ),
    ActionKind.RAISE_LIMIT: _raise,
    ActionKind.RAISE_QUOTA: _raise,
    ActionKind.CREATE_QUEUE: lambda action: f"create queue {action.queue}, or name another",
    ActionKind.MAKE_PREEMPTIBLE: lambda _: "make it preemptible",
    ActionKind.RELAX_LEVEL: lambda action: (
        f"make the required level{_of_subgroup(action, 'of')} a preferred one"
    ),
    ActionKind.LOWER_MINIMUM: lambda action: f"lower minMember to {round(action.amount)}",
    ActionKind.ASK_FOR_LESS: _ask_for_less,
    ActionKind.CREATE_PODS: lambda action: (
        f"create {counted(round(action.amount), 'more pod')}{_of_subgroup(action, 'in')}"
    ),
    ActionKind.UNGATE: lambda _: "remove the scheduling gates of its pods",
}


def _missing(bound: Bound) -> str:
    return f"room for {counted(max(1, round(bound.asked - bound.there)), 'more pod')} is missing"


def _named(names: Sequence[str]) -> str:
    return _listed(map(_short, names[:_MOST_NAMED]), len(names))


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."


def _listed(shown: Iterable[str], total: int) -> str:
    parts = list(shown)
    if total > len(parts):
        return f"{', '.join(parts)} and {total - len(parts)} more"
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _number_of(share: QueueShare, resource: QuotaResource) -> str:
    return amount_in_words(resource, share.fair_share.get(resource))


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
