"""NodeTable: the nodes of a fleet as columns, so that a selector is answered for all of them at once.

A label column is built when its key is first asked for; answers are kept by selector. Arrays handed out are
read-only, because many callers share one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.ids import NodeName
from kai_sched.model.integers import parse_int64
from kai_sched.model.nodes import Node
from kai_sched.model.resources import CPU, EPHEMERAL_STORAGE, MEMORY, PODS
from kai_sched.model.selectors import NodeSelector, NodeSelectorTerm, Operator, Requirement, Taint
from kai_sched.model.snapshot import Fleet

Mask = NDArray[np.bool_]
_Scalar = TypeVar("_Scalar", bound=np.generic)

BASIC_RESOURCES: Final = (CPU, MEMORY, EPHEMERAL_STORAGE, PODS)
NAME_FIELD: Final = "metadata.name"


class LabelColumn(NamedTuple):
    """One label over all nodes. ``codes``: int32[N], position in ``values`` (sorted), -1 where absent."""

    codes: NDArray[np.int32]
    values: tuple[str, ...]


class NodeTable:
    """Columns over ``nodes`` (sorted by name, as the fleet has them).

    ``axis``: names of the counted resources, ``allocatable``: int64[N, R] in its order.
    ``taint_sets``: the distinct taint lists, ``taint_codes``: int32[N] into them.
    """

    __slots__ = (
        "_columns",
        "_labels",
        "_matches",
        "allocatable",
        "axis",
        "index_of",
        "is_cordoned",
        "is_ready",
        "nodes",
        "position_of",
        "taint_codes",
        "taint_sets",
    )

    def __init__(self, nodes: tuple[Node, ...], axis: tuple[str, ...]) -> None:
        self.nodes = nodes
        self.axis = axis
        self.index_of: dict[NodeName, int] = {node.name: index for index, node in enumerate(nodes)}
        self.position_of: dict[str, int] = {name: position for position, name in enumerate(axis)}
        self.allocatable = _frozen(self._amounts())
        self.is_cordoned: Mask = _frozen(np.array([node.is_cordoned for node in nodes], dtype=bool))
        self.is_ready: Mask = _frozen(np.array([node.is_ready for node in nodes], dtype=bool))
        codes: dict[tuple[Taint, ...], int] = {}
        taint_codes = [codes.setdefault(node.taints, len(codes)) for node in nodes]
        self.taint_sets = tuple(codes)
        self.taint_codes: NDArray[np.int32] = _frozen(np.array(taint_codes, dtype=np.int32))
        self._labels: tuple[dict[str, str], ...] = tuple(dict(node.labels) for node in nodes)
        self._columns: dict[str, LabelColumn] = {}
        self._matches: dict[Requirement | NodeSelectorTerm | NodeSelector, Mask] = {}

    @classmethod
    def build(cls, fleet: Fleet, extra_resources: Iterable[str] = ()) -> NodeTable:
        """The table of a fleet; the axis also holds ``extra_resources`` (what pods ask for)."""
        names = {name for node in fleet.nodes for name, _ in node.allocatable}
        rest = (names | set(extra_resources)) - set(BASIC_RESOURCES)
        return cls(fleet.nodes, (*BASIC_RESOURCES, *sorted(rest)))

    def __len__(self) -> int:
        return len(self.nodes)

    def label_codes(self, key: str) -> LabelColumn:
        """The column of one label."""
        column = self._columns.get(key)
        if column is None:
            found = [labels.get(key) for labels in self._labels]
            values = tuple(sorted({value for value in found if value is not None}))
            code_of = {value: code for code, value in enumerate(values)}
            codes = [-1 if value is None else code_of[value] for value in found]
            column = LabelColumn(_frozen(np.array(codes, dtype=np.int32)), values)
            self._columns[key] = column
        return column

    def match(self, selector: Requirement | NodeSelectorTerm | NodeSelector) -> Mask:
        """bool[N]: which nodes a requirement, term or selector matches, by Kubernetes' rules."""
        mask = self._matches.get(selector)
        if mask is None:
            mask = _frozen(self._evaluate(selector))
            self._matches[selector] = mask
        return mask

    def _evaluate(self, selector: Requirement | NodeSelectorTerm | NodeSelector) -> Mask:
        match selector:
            case Requirement():
                return self._match_label(selector)
            case NodeSelectorTerm():
                return self._match_term(selector)
            case NodeSelector():
                mask = np.zeros(len(self.nodes), dtype=bool)
                for term in selector.terms:
                    mask |= self.match(term)
                return mask

    def _match_term(self, term: NodeSelectorTerm) -> Mask:
        if not term.expressions and not term.fields:
            return np.zeros(len(self.nodes), dtype=bool)
        mask = np.ones(len(self.nodes), dtype=bool)
        for requirement in term.expressions:
            mask &= self.match(requirement)
        for requirement in term.fields:
            mask &= self._match_field(requirement)
        return mask

    def _match_label(self, requirement: Requirement) -> Mask:
        if not is_well_formed(requirement):
            return np.zeros(len(self.nodes), dtype=bool)
        column = self.label_codes(requirement.key)
        # The last entry answers for code -1: nodes that lack the label.
        answers = [value_satisfies(requirement, value) for value in (*column.values, None)]
        answer: Mask = np.array(answers, dtype=bool)[column.codes]
        return answer

    def _match_field(self, requirement: Requirement) -> Mask:
        """Only In and NotIn with one value exist for fields; an unknown field is the empty string."""
        mask = np.zeros(len(self.nodes), dtype=bool)
        if requirement.operator not in {Operator.IN, Operator.NOT_IN} or len(requirement.values) != 1:
            return mask
        wanted = requirement.values[0]
        if requirement.key == NAME_FIELD:
            index = self.index_of.get(NodeName(wanted))
            if index is not None:
                mask[index] = True
        else:
            mask[:] = wanted == ""
        return mask if requirement.operator is Operator.IN else ~mask

    def _amounts(self) -> NDArray[np.int64]:
        table = np.zeros((len(self.nodes), len(self.axis)), dtype=np.int64)
        for row, node in zip(table, self.nodes, strict=True):
            for name, amount in node.allocatable:
                position = self.position_of.get(name)
                if position is not None:
                    row[position] = amount
        return table


def is_well_formed(requirement: Requirement) -> bool:
    """Whether Kubernetes can parse the requirement; a term with one that it cannot matches nothing."""
    values = requirement.values
    match requirement.operator:
        case Operator.IN | Operator.NOT_IN:
            return len(values) > 0
        case Operator.EXISTS | Operator.DOES_NOT_EXIST:
            return not values
        case Operator.GT | Operator.LT:
            return len(values) == 1 and parse_int64(values[0]) is not None


def value_satisfies(requirement: Requirement, value: str | None) -> bool:
    """Whether a label value (None: the label is absent) satisfies a well-formed requirement."""
    match requirement.operator:
        case Operator.IN:
            return value in requirement.values
        case Operator.NOT_IN:
            return value not in requirement.values
        case Operator.EXISTS:
            return value is not None
        case Operator.DOES_NOT_EXIST:
            return value is None
        case Operator.GT | Operator.LT:
            bound = parse_int64(requirement.values[0])
            number = None if value is None else parse_int64(value)
            if bound is None or number is None:
                return False
            return number > bound if requirement.operator is Operator.GT else number < bound


def _frozen(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array.setflags(write=False)
    return array
