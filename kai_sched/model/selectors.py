"""Label selectors, node selectors, taints and tolerations, as Kubernetes defines them.

Source: core/v1 NodeSelector, Toleration, Taint; meta/v1 LabelSelector.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Operator(StrEnum):
    """Operators of label and node selector requirements."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GT = "Gt"
    LT = "Lt"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One expression ``key operator values``."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeSelectorTerm:
    """All expressions and fields must hold; a term with neither matches nothing."""

    expressions: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeSelector:
    """Terms are alternatives."""

    terms: tuple[NodeSelectorTerm, ...]


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """matchLabels are written as ``In`` requirements; no requirement matches everything."""

    requirements: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node or device; effects NoSchedule, PreferNoSchedule, NoExecute, None."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Toleration:
    """A toleration of a pod or device request; empty ``key``/``effect`` match any."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
