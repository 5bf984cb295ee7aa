"""Events of events.k8s.io: what happened to an object, told once for each thing that is said about it.

The name is a digest of what is said, so that a restarted operator that says the same again is answered 409 and
no second event exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from kai_sched.api.times import format_micro_time
from kai_sched.cluster.kube.resources import NEW_EVENTS, Resource
from kai_sched.cluster.ports import Document

_LONGEST_NOTE: Final = 1000
"""The API's limit."""
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing said about one object."""

    about: Resource
    key: str
    uid: str
    reason: str
    note: str
    action: str
    is_warning: bool = False


def event_path(told: Told) -> str:
    """Where the event is created: with its object, or in ``default`` where that has no namespace."""
    return NEW_EVENTS.collection(_namespace(told))


def event_document(told: Told, *, scheduler_name: str, instance: str, now: float) -> Document:
    """The event as it is created."""
    name = told.key.rpartition("/")[2]
    said = blake2b(f"{told.uid}\0{told.reason}\0{told.note}".encode(), digest_size=8).hexdigest()
    regarding = {"apiVersion": told.about.api_version, "kind": told.about.kind, "name": name, "uid": told.uid}
    if told.about.is_namespaced:
        regarding["namespace"] = _namespace(told)
    return {
        "apiVersion": NEW_EVENTS.api_version,
        "kind": NEW_EVENTS.kind,
        "metadata": {"name": f"{name[:_LONGEST_NAME]}.{said}", "namespace": _namespace(told)},
        "eventTime": format_micro_time(now),
        "type": "Warning" if told.is_warning else "Normal",
        "reason": told.reason,
        "action": told.action,
        "note": told.note[:_LONGEST_NOTE],
        "regarding": regarding,
        "reportingController": scheduler_name,
        "reportingInstance": instance[:128],
    }


def _namespace(told: Told) -> str:
    return told.key.rpartition("/")[0] or "default"
