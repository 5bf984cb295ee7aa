"""Whether the API server keeps our part of statuses, and the one condition that says so where it does not.

Where KAI installed its CustomResourceDefinitions first, ``kaiSched`` is pruned from every object. The answers to our
own writes show it. It is said once: on our SchedulingShard, or on the first queue without a parent if there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from kai_sched.cluster.kube.resources import Resource
from kai_sched.cluster.ports import Document
from kai_sched.model.queues import Queue
from kai_sched.operator.conditions import Condition, merged_conditions

_log = structlog.get_logger(__name__)

OURS: Final = "kaiSched"
PRUNED: Final = "FieldsPruned"


class Pruning:
    """What the answers so far have shown, by kind."""

    def __init__(self) -> None:
        self._is_pruned: dict[str, bool] = {}

    def learn(self, resource: Resource, sent: Document, answer: Document) -> None:
        """Take the API server's answer to a status with a part of ours."""
        if OURS not in sent:
            return
        name = f"{resource.plural}.{resource.group}"
        is_pruned = OURS not in (answer.get("status") or {})
        if is_pruned and not self._is_pruned.get(name):
            _log.warning("the API server does not keep our fields", definition=name, field=OURS)
        self._is_pruned[name] = is_pruned

    def is_pruned(self, resource: Resource) -> bool:
        """Whether our part of such objects is known not to be kept."""
        return self._is_pruned.get(f"{resource.plural}.{resource.group}", False)

    @property
    def definitions(self) -> tuple[str, ...]:
        """Those that are known not to keep it."""
        return tuple(sorted(name for name, is_pruned in self._is_pruned.items() if is_pruned))

    def said_on(self, conditions: Sequence[Document], now: float) -> list[Document]:
        """The conditions of the object that says it; as they are while nothing is known."""
        if not self._is_pruned:
            return list(conditions)
        return merged_conditions(conditions, (self._condition(),), now)

    def _condition(self) -> Condition:
        names = self.definitions
        if not names:
            return Condition(PRUNED, is_true=False, reason="FieldsKept")
        text = (
            f"The CustomResourceDefinitions {' and '.join(names)} are not those of kai-sched: the API server drops "
            f"spec.{OURS} and status.{OURS}, so that verdicts, fair shares and counts of gangs are not shown. "
            "Everything else works. Next: `kai-sched crds diff` says what they lack, `kai-sched crds apply` "
            "replaces those that have nothing more than ours"
        )
        return Condition(PRUNED, is_true=True, reason="OtherDefinitions", message=text)


def without_it(conditions: Sequence[Document]) -> list[Document]:
    """The conditions of an object that does not say it, or no longer."""
    return [entry for entry in conditions if entry.get("type") != PRUNED]


def first_root(queues: Iterable[Queue]) -> str:
    """The queue that says it where no shard can; "" if there is none."""
    return min((queue.name for queue in queues if queue.parent is None), default="")
