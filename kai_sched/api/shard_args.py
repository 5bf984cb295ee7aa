"""``spec.args`` of a SchedulingShard: KAI's scheduler flags that decide something, and ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kai_sched.api.keys import QUEUE
from kai_sched.api.shard_notes import NotServed
from kai_sched.api.times import parse_duration
from kai_sched.api.translate.fields import INT32
from kai_sched.model.integers import parse_int64
from kai_sched.model.policy import DeviceChoice

Changes = dict[str, Any]
"""Fields of ``Policy`` with their new values."""

INEFFECTIVE_ARGS: Final = frozenset(
    {
        "schedule-period",
        "leader-elect",
        "qps",
        "burst",
        "plugin-server-port",
        "listen",
        "num-of-status-recording-workers",
        "metrics-namespace",
        "detailed-fit-errors",
        "update-pod-eviction-condition",
        "schedule-csi-storage",
        "v",
    }
)
"""Flags about KAI's process. Storage is always scheduled here, fit errors are always detailed."""
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def _boolean(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"must be true or false, is {text!r}")


def _whole(text: str, least: int) -> int:
    number = parse_int64(text)
    if number is None:
        raise ValueError(f"must be a whole number, is {text!r}")
    if not least <= number <= INT32:
        raise ValueError(f"must be at least {least} and at most {INT32}, is {number}")
    return number


def _choice(text: str) -> DeviceChoice:
    try:
        return DeviceChoice(text)
    except ValueError:
        raise ValueError(f"must be one of {', '.join(DeviceChoice)}, is {text!r}") from None


def _name(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _full_hierarchy(text: str) -> Changes:
    if not _boolean(text):
        raise NotServed("false is not supported: fairness always looks at the whole tree")
    return {}


def _queue_label(text: str) -> Changes:
    if text != QUEUE:
        raise NotServed(f"only {QUEUE} is supported, is {text!r}")
    return {}


ARGS: Final[Mapping[str, Callable[[str], Changes]]] = {
    "allow-consolidating-reclaim": lambda text: {"allow_consolidating_reclaim": _boolean(text)},
    "bug-compatible": lambda text: {"bug_compatible": _boolean(text)},
    "default-staleness-grace-period": lambda text: {"staleness_grace_seconds": parse_duration(text)},
    "device-choice": lambda text: {"device_choice": _choice(text)},
    "full-hierarchy-fairness": _full_hierarchy,
    "max-consolidation-preemptees": lambda text: {"max_consolidation_preemptees": _whole(text, -1)},
    "nodepool-label-key": lambda text: {"partition_label": _name(text)},
    "partition-label-value": lambda text: {"partition_value": text},
    "priority-label-may-raise": lambda text: {"priority_label_may_raise": _boolean(text)},
    "queue-label-key": _queue_label,
    "restrict-node-scheduling": lambda text: {"restrict_node_scheduling": _boolean(text)},
    "scheduler-name": lambda text: {"scheduler_name": _name(text)},
    "stuck-in-releasing-threshold": lambda text: {"stuck_in_releasing_seconds": parse_duration(text)},
    "use-scheduling-signatures": lambda text: {"use_signatures": _boolean(text)},
}
"""Flag → the fields it sets; each raises ValueError with the reason where the text is wrong."""
