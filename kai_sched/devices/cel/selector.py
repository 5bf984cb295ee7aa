"""A selector: one expression, compiled once, with its verdicts memoised by what they depend on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Final

from kai_sched.devices.cel.budget import STEP_LIMIT, Budget
from kai_sched.devices.cel.check import check_selector
from kai_sched.devices.cel.device_view import DeviceFacts, DeviceValue, Path, Recorder
from kai_sched.devices.cel.evaluate import Closure, Evaluation, compile_node
from kai_sched.devices.cel.parse import parse
from kai_sched.devices.cel.stack import MAX_NESTING
from kai_sched.devices.cel.values import CelError, CompileError, CostExceeded, type_name

_SLOTS: Final = 2 * MAX_NESTING + 2
"""Two variables a nested loop."""
_MAX_MEMOISED: Final = 50_000
_MAX_MEMOISED_TOGETHER: Final = 200_000
_memoised: Final = [0]
"""Verdicts remembered since all were forgotten."""
_TOO_DEEP: Final = "expression is nested too deeply"
_ERROR_TEXT_LIMIT: Final = 500


@dataclass(frozen=True, slots=True)
class SelectorVerdict:
    """Whether a device matches, or the error; ``steps`` is what the evaluation took."""

    is_match: bool
    error: str = ""
    steps: int = 0
    is_compile_error: bool = False
    is_cut_short: bool = False
    """Not decided: the caller allowed fewer steps than it takes."""


_CUT_SHORT: Final = SelectorVerdict(is_match=False, is_cut_short=True)


@dataclass(slots=True)
class _Branch:
    """A node of the memo: the next fact that is looked at, and what follows for each of its values."""

    path: Path
    by_value: dict[object, _Branch | SelectorVerdict]


class Selector:
    """A compiled expression. ``error`` is set instead of a program where it does not compile."""

    __slots__ = ("_memo", "_memoised", "_program", "error", "expression")

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.error = ""
        self._program: Closure | None = None
        self._memo: _Branch | SelectorVerdict | None = None
        self._memoised = 0
        try:
            tree = parse(expression)
            check_selector(tree)
            self._program = compile_node(tree, {})
        except CompileError as error:
            self.error = f"compilation failed: {error}"[:_ERROR_TEXT_LIMIT]
        except RecursionError:
            self.error = f"compilation failed: {_TOO_DEEP}"

    def verdict(self, device: DeviceFacts, most_steps: int = STEP_LIMIT) -> SelectorVerdict:
        """Whether the device matches; the same facts give the same answer without a second evaluation.

        What is remembered does not show: a verdict that took more than ``most_steps`` is cut short all the same.
        """
        if self._program is None:
            return SelectorVerdict(is_match=False, error=self.error, is_compile_error=True)
        if device.problem:
            return SelectorVerdict(is_match=False, error=device.problem)
        node = self._memo
        while isinstance(node, _Branch):
            node = node.by_value.get(device.facts.get(node.path))
        if node is None:
            return self._evaluated(device, self._program, most_steps)
        return node if node.steps <= most_steps else _CUT_SHORT

    def _evaluated(self, device: DeviceFacts, program: Closure, most_steps: int) -> SelectorVerdict:
        recorder = Recorder(device)
        budget = Budget(most_steps)
        state = Evaluation(DeviceValue(recorder), budget, _SLOTS)
        try:
            value = program(state)
            budget.take(0)
            if isinstance(value, bool):
                verdict = SelectorVerdict(is_match=value)
            else:
                kind = type_name(value)
                verdict = SelectorVerdict(
                    is_match=False, error=f"CEL result of type {kind} could not be converted to bool"
                )
        except CostExceeded as error:
            if most_steps < STEP_LIMIT:
                return _CUT_SHORT
            verdict = SelectorVerdict(is_match=False, error=str(error))
        except CelError as error:
            verdict = SelectorVerdict(is_match=False, error=str(error)[:_ERROR_TEXT_LIMIT])
        except RecursionError:
            verdict = SelectorVerdict(is_match=False, error=_TOO_DEEP)
        verdict = replace(verdict, steps=min(budget.used, STEP_LIMIT))
        self._remember(recorder.reads, verdict)
        return verdict

    def _remember(self, reads: list[tuple[Path, object]], verdict: SelectorVerdict) -> None:
        if self._memoised >= _MAX_MEMOISED:
            self._memo, self._memoised = None, 0
        self._memoised += 1
        _count_memoised()
        first_reads = dict(reversed(reads))
        path_of = list(dict.fromkeys(path for path, _ in reads))
        if not path_of:
            self._memo = verdict
            return
        if not isinstance(self._memo, _Branch):
            self._memo = _Branch(path_of[0], {})
        branch = self._memo
        for path, following in pairwise(path_of):
            child = branch.by_value.get(first_reads[path])
            if not isinstance(child, _Branch):
                child = _Branch(following, {})
                branch.by_value[first_reads[path]] = child
            branch = child
        branch.by_value[first_reads[path_of[-1]]] = verdict


@lru_cache(maxsize=2048)
def compiled_selector(expression: str) -> Selector:
    """The selector of an expression; compiled once in a process."""
    return Selector(expression)


def _count_memoised() -> None:
    """All selectors together remember so much; then all are forgotten, as their expressions are anybody's."""
    _memoised[0] += 1
    if _memoised[0] > _MAX_MEMOISED_TOGETHER:
        _memoised[0] = 0
        compiled_selector.cache_clear()
