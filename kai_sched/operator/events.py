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
from kai_sched.model.texts import EVENT_BYTES, shown_bytes

_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class About:
    """The kind of what an event is about."""

    api_version: str
    kind: str

    @staticmethod
    def of(resource: Resource) -> About:
        """One of the kinds that we know."""
        return About(resource.api_version, resource.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing said about one object."""

    about: About
    key: str
    """``namespace/name``, or the name of what has no namespace."""
    uid: str
    reason: str
    note: str
    action: str
    is_warning: bool = False


def event_path(event: Event) -> str:
    """Where the event is created: with its object, or in ``default`` where that has no namespace."""
    return NEW_EVENTS.collection(_namespace(event))


def event_document(event: Event, *, scheduler_name: str, instance: str, now: float) -> Document:
    """The event as it is created."""
    namespace, _, name = event.key.rpartition("/")
    note = shown_bytes(event.note, EVENT_BYTES)
    said = blake2b(f"{event.uid}\0{event.reason}\0{note}".encode(), digest_size=8).hexdigest()
    regarding = {
        "apiVersion": event.about.api_version,
        "kind": event.about.kind,
        "name": name,
        "uid": event.uid,
    }
    if namespace:
        regarding["namespace"] = namespace
    return {
        "apiVersion": NEW_EVENTS.api_version,
        "kind": NEW_EVENTS.kind,
        "metadata": {"name": f"{name[:_LONGEST_NAME]}.{said}", "namespace": _namespace(event)},
        "eventTime": format_micro_time(now),
        "type": "Warning" if event.is_warning else "Normal",
        "reason": event.reason,
        "action": event.action,
        "note": note,
        "regarding": regarding,
        "reportingController": scheduler_name,
        "reportingInstance": instance[:128],
    }


def _namespace(event: Event) -> str:
    return event.key.rpartition("/")[0] or "default"
