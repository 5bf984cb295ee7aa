"""``matches``, ``find`` and ``findAll``."""

from __future__ import annotations

from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.regex.program import Instruction, compile_pattern, search
from kai_sched.devices.cel.regex.syntax import BadPattern
from kai_sched.devices.cel.values import CelError


def _compiled(budget: Budget, pattern: str) -> tuple[Instruction, ...]:
    budget.take(1 + len(pattern))
    try:
        return compile_pattern(pattern)
    except BadPattern as error:
        raise CelError(f"error parsing regexp: {error}: `{pattern}`") from None


def matches(budget: Budget, text: str, pattern: str) -> bool:
    """Whether the pattern is found anywhere in the text."""
    return search(_compiled(budget, pattern), text, 0, budget) is not None


def find(budget: Budget, text: str, pattern: str) -> str:
    """The first match, "" if there is none."""
    found = search(_compiled(budget, pattern), text, 0, budget)
    return "" if found is None else text[found[0] : found[1]]


def find_all(budget: Budget, text: str, pattern: str, limit: int = -1) -> list[object]:
    """Matches from left to right that do not overlap, at most ``limit`` if that is not negative."""
    program = _compiled(budget, pattern)
    found: list[object] = []
    position = 0
    previous_end = -1
    while position <= len(text) and (limit < 0 or len(found) < limit):
        match = search(program, text, position, budget)
        if match is None:
            break
        begin, end = match
        # An empty match right after a match does not count, as in Go.
        if end > begin or begin != previous_end:
            found.append(text[begin:end])
        previous_end = end
        position = end if end > begin else end + 1
    return found
