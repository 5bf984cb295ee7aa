"""A pattern's tree to a small program, and its run over a text in linear time: threads in order of preference.

Instructions: ("char", ranges, next), ("any", with newline, next), ("assert", kind, next), ("split", first, second),
("match",). The first branch of a split is preferred, which gives the leftmost match that Perl would find.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final
from unicodedata import category

from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.regex.syntax import BadPattern, Tree, parse_pattern

MAX_PROGRAM: Final = 3000
Instruction = tuple[Any, ...]


@lru_cache(maxsize=512)
def compile_pattern(text: str) -> tuple[Instruction, ...]:
    """The program of a pattern; it starts at its last instruction.

    Raises:
        BadPattern: not a pattern, or one too large.
    """
    program: list[Instruction] = [("match",)]
    start = _emit(program, parse_pattern(text), 0)
    # A jump, so that the start is always the last instruction.
    program.append(("split", start, start))
    return tuple(program)


def _emit(program: list[Instruction], tree: Tree, following: int) -> int:
    """Append the code of a tree that goes on at ``following``; the index where it starts."""
    if len(program) > MAX_PROGRAM:
        raise BadPattern("expression is too large")
    match tree[0]:
        case "cat":
            for part in reversed(tree[1]):
                following = _emit(program, part, following)
            return following
        case "alt":
            entry = _emit(program, tree[1][-1], following)
            for part in reversed(tree[1][:-1]):
                entry = _append(program, ("split", _emit(program, part, following), entry))
            return entry
        case "repeat":
            return _emit_repeat(program, tree, following)
        case kind:
            return _append(program, (kind, tree[1], following))


def _append(program: list[Instruction], instruction: Instruction) -> int:
    program.append(instruction)
    return len(program) - 1


def _split(body: int, following: int, *, is_lazy: bool) -> Instruction:
    return ("split", following, body) if is_lazy else ("split", body, following)


def _emit_repeat(program: list[Instruction], tree: Tree, following: int) -> int:
    _, body, least, most, is_lazy = tree
    if most is None:
        loop = _append(program, ("split", following, following))
        start = _emit(program, body, loop)
        program[loop] = _split(start, following, is_lazy=is_lazy)
        entry = loop
    else:
        entry = following
        for _ in range(most - least):
            start = _emit(program, body, entry)
            entry = _append(program, _split(start, following, is_lazy=is_lazy))
    for _ in range(least):
        entry = _emit(program, body, entry)
    return entry


def search(program: tuple[Instruction, ...], text: str, start: int, budget: Budget) -> tuple[int, int] | None:
    """The leftmost match at or after ``start`` as (from, to)."""
    threads: list[tuple[int, int]] = []
    found: tuple[int, int] | None = None
    position = start
    while True:
        seen: set[int] = set()
        ready: list[tuple[int, int]] = []
        for at, begin in threads:
            _follow(program, at, begin, (text, position), seen, ready)
        if found is None:
            _follow(program, len(program) - 1, position, (text, position), seen, ready)
        budget.take(1 + 2 * len(seen))
        threads = []
        for at, begin in ready:
            instruction = program[at]
            if instruction[0] == "match":
                # Threads further down are less preferred than this match.
                found = (begin, position)
                break
            if position < len(text) and _takes(instruction, text[position]):
                threads.append((instruction[2], begin))
        if position >= len(text) or (found is not None and not threads):
            return found
        position += 1


def _follow(
    program: tuple[Instruction, ...],
    at: int,
    begin: int,
    place: tuple[str, int],
    seen: set[int],
    ready: list[tuple[int, int]],
) -> None:
    """Walk over everything that takes no character; what waits for one is ready, in order of preference."""
    stack = [at]
    while stack:
        at = stack.pop()
        if at in seen:
            continue
        seen.add(at)
        instruction = program[at]
        if instruction[0] == "split":
            stack.append(instruction[2])
            stack.append(instruction[1])
        elif instruction[0] == "assert":
            if _holds(instruction[1], *place):
                stack.append(instruction[2])
        else:
            ready.append((at, begin))


def _takes(instruction: Instruction, char: str) -> bool:
    if instruction[0] == "any":
        return bool(instruction[1]) or char != "\n"
    if instruction[0] == "category":
        name, is_negated = instruction[1]
        return category(char).startswith(str(name)) is not bool(is_negated)
    code = ord(char)
    return any(low <= code <= high for low, high in instruction[1])


def _is_word(text: str, index: int) -> bool:
    return 0 <= index < len(text) and text[index].isascii() and (text[index].isalnum() or text[index] == "_")


def _holds(kind: str, text: str, position: int) -> bool:
    match kind:
        case "start":
            return position == 0
        case "end":
            return position == len(text)
        case "line start":
            return position == 0 or text[position - 1] == "\n"
        case "line end":
            return position == len(text) or text[position] == "\n"
        case _:
            is_boundary = _is_word(text, position - 1) != _is_word(text, position)
            return is_boundary == (kind == "word")
