"""Picture: the fleet as a few lines of text, a cell for each node, a letter in it for each device that is held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from kai_sched.model.words import counted
from kai_sched.topology.graph import Kind
from kai_sched.topology.inventory import Entry, State

LETTERS: Final = ascii_uppercase + ascii_lowercase
FREE: Final = "."
BLOCKED: Final = "x"
SEVERAL: Final = "+"
"""Several holders in one device, or one for whom no letter was left."""


@dataclass(frozen=True, slots=True)
class Row:
    """The nodes of one domain: its names from the outside in, and a cell for each node."""

    domain: tuple[str, ...]
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """``legend``: (letter, holder, devices)."""

    rows: tuple[Row, ...]
    legend: tuple[tuple[str, str, int], ...]

    def lines(self, width: int = 80) -> Iterator[str]:
        """The rows, then the legend."""
        for head, cells in self.strips(width):
            yield f"{head} {cells}"
        yield from self.notes()

    def strips(self, width: int = 80) -> Iterator[tuple[str, str]]:
        """(domain, cells) by line: cells that do not fit are put under the others."""
        titles = ["/".join(row.domain) for row in self.rows]
        indent = min(max((len(title) for title in titles), default=0), width // 3)
        for title, row in zip(titles, self.rows, strict=True):
            head = title if len(title) <= indent else f"…{title[len(title) - indent + 1 :]}"
            for cells in _wrapped(row.cells, width - indent - 1):
                yield f"{head:<{indent}}", cells
                head = ""

    def notes(self) -> Iterator[str]:
        """The legend, a line a holder."""
        for letter, holder, count in self.legend:
            yield f"{letter} {holder}: {counted(count, 'device')}"


def picture(root: Entry) -> Picture:
    """The nodes below a place, by the domain that they are in."""
    letter_of = letters_of(root)
    rows = [
        Row(path, tuple(cell(node, letter_of) for node in nodes))
        for path, nodes in _by_domain(root, ())
        if nodes
    ]
    held = Counter(name for entry in root.walk() for name in {holding.name for holding in entry.holders})
    return Picture(tuple(rows), tuple((letter, name, held[name]) for name, letter in letter_of.items()))


def letters_of(root: Entry) -> dict[str, str]:
    """A letter for each holder, in the order of their names."""
    names = sorted({holding.name for entry in root.walk() for holding in entry.holders})
    return dict(zip(names, LETTERS, strict=False))


def cell(node: Entry, letter_of: Mapping[str, str]) -> str:
    """One letter a device; devices without a place (channels, daemons) are left out beside devices with one."""
    devices = [entry for entry in node.walk() if entry.place.kind is Kind.DEVICE]
    placed = {entry.place.key for part in node.children if not part.is_device for entry in part.walk()}
    is_plugin = {entry.place.key for entry in devices if "/" in entry.place.level}
    shown = [entry for entry in devices if entry.place.key in placed | is_plugin] or devices
    return "".join(_mark(entry, letter_of) for entry in shown) or "-"


def _mark(device: Entry, letter_of: Mapping[str, str]) -> str:
    names = {holding.name for entry in device.walk() for holding in entry.holders}
    if len(names) == 1:
        return letter_of.get(names.pop(), SEVERAL)
    if names or device.state is State.PARTLY:
        return SEVERAL
    return BLOCKED if device.state is State.BLOCKED else FREE


def _by_domain(entry: Entry, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Sequence[Entry]]]:
    here = [child for child in entry.children if child.place.kind in {Kind.NODE, Kind.POOL}]
    yield path or ("-",), here
    for child in entry.children:
        if child.place.kind is Kind.DOMAIN:
            yield from _by_domain(child, (*path, child.place.name))


def _wrapped(cells: Sequence[str], width: int) -> Iterator[str]:
    line = ""
    for each in cells:
        if line and len(line) + 1 + len(each) > width:
            yield line
            line = ""
        line = f"{line} {each}" if line else each
    yield line
