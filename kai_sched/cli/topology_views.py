"""The fleet for people: a tree of lines and a picture, of one inventory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from kai_sched.cli.output import print_hanging
from kai_sched.model.nodes import Node
from kai_sched.model.quantity import format_quantity
from kai_sched.model.resources import CPU, EPHEMERAL_STORAGE, MEMORY, PODS
from kai_sched.model.selectors import Taint
from kai_sched.model.words import counted
from kai_sched.topology.distance import LinkSpeeds, all_reduce_gbps, meeting_place
from kai_sched.topology.graph import BOARD, FleetGraph, Kind, Place
from kai_sched.topology.holders import Holders, Holding
from kai_sched.topology.inventory import Entry, State
from kai_sched.topology.picture import cell, letters_of, picture

_STYLE: Final = {
    State.FREE: "green",
    State.HELD: "yellow",
    State.SHARED: "cyan",
    State.PARTLY: "cyan",
    State.BLOCKED: "dim",
    State.CLOSED: "dim",
}
_COLOURS: Final = ("green", "cyan", "magenta", "yellow", "blue", "red")
_BASIC: Final = {CPU, MEMORY, EPHEMERAL_STORAGE, PODS}
_TITLES: Final = {Kind.POOL: "pool ", Kind.NUMA: "numa "}
_RANK: Final[dict[str, int]] = {
    Kind.NODE: 0,
    Kind.POOL: 0,
    Kind.NUMA: 1,
    Kind.PCIE: 2,
    Kind.DEVICE: 3,
    Kind.PARTITION: 4,
}
_BOARD_NAME: Final = 12
"""Letters of a UUID that are enough to tell boards apart."""


@dataclass(frozen=True, slots=True)
class View:
    """What is shown. ``titles``: label of a level -> what people call it; ``only_free``: ``root`` lacks what is held."""

    root: Entry
    graph: FleetGraph
    holders: Holders
    nodes: Mapping[str, Node]
    titles: Mapping[str, str]
    speeds: LinkSpeeds
    only_free: bool = False


def print_view(view: View, depth: str, out: Console) -> None:
    """The tree down to ``depth`` (a level or a kind of place), then who the letters are and what they span."""
    letters = letters_of(view.root)
    tree = Tree(Text(f"cluster  {_counts(view.root, view)}"), guide_style="dim")
    _grow(tree, view.root, view, depth, letters)
    out.print(tree)
    held = list(spans(view))
    if held:
        out.print(Text("\nHolders", style="bold"))
    for name, holding, devices, place in held:
        queue = f" (queue {holding.queue})" if holding.queue else ""
        gbps = all_reduce_of(devices, view)
        link = f", all-reduce ~{gbps:g} GB/s" if gbps is not None else ""
        count = counted(len(devices), "device")
        where = _whereabouts(place, view)
        print_hanging(out, Text(f"{letters.get(name, '+')} {name}{queue}: {count} in {where}{link}"))


def print_picture(root: Entry, out: Console) -> None:
    """A cell a node, a letter a device, and who the letters are."""
    drawn = picture(root)
    colour_of = {
        letter: _COLOURS[number % len(_COLOURS)] for number, (letter, _, _) in enumerate(drawn.legend)
    }
    for head, cells in drawn.strips(out.width):
        line = Text(f"{head} ")
        for mark in cells:
            line.append(mark, style=colour_of.get(mark, ""))
        out.print(line)
    for note in drawn.notes():
        out.print(Text("  ").append(note[0], style=colour_of[note[0]]).append(note[1:]))


def _grow(tree: Tree, entry: Entry, view: View, depth: str, letters: Mapping[str, str]) -> None:
    """Lines below an entry; places with a single thing in them share its line, and so do devices alike."""
    for run in _runs(entry.children):
        inner = run[0]
        is_last = _is_last(inner.place, view, depth)
        line = _line(inner, view, letters, is_last=is_last)
        if len(run) > 1:
            line = Text(f"{inner.place.name} … {run[-1].place.name}").append_text(_state(inner, view))
            line.append(f" ({len(run)})", style="dim")
        while inner.place.kind in {Kind.NUMA, Kind.PCIE} and len(inner.children) == 1 and not is_last:
            inner = inner.children[0]
            is_last = _is_last(inner.place, view, depth)
            line.append(" · ").append_text(_line(inner, view, letters, is_last=is_last))
        below = tree.add(line)
        if not is_last:
            _grow(below, _without_possible_parts(inner), view, depth, letters)


def _is_last(place: Place, view: View, depth: str) -> bool:
    """Whether nothing below the place is shown."""
    if depth in _RANK:
        return _RANK.get(place.kind, -1) >= _RANK[depth]
    return place.kind is not Kind.DOMAIN or depth in {place.level, view.titles.get(place.level)}


def _runs(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Neighbours that are devices without parts and alike in who holds them go together."""

    def likeness(entry: Entry) -> object:
        is_simple = entry.is_device and not entry.children
        return (entry.state, [_holder(each) for each in entry.holders]) if is_simple else entry.place

    return (list(run) for _, run in groupby(entries, key=likeness))


def _without_possible_parts(entry: Entry) -> Entry:
    """Partitions of a device that is published itself are possibilities: only those held are worth a line."""
    if entry.place.kind is not Kind.DEVICE or entry.place.key.startswith(BOARD):
        return entry
    return replace(entry, children=tuple(part for part in entry.children if part.holders))


def _line(entry: Entry, view: View, letters: Mapping[str, str], *, is_last: bool) -> Text:
    place = entry.place
    line = Text(_title(place, view))
    if entry.state is not None:
        return line.append_text(_state(entry, view))
    if place.kind in {Kind.NUMA, Kind.PCIE} and not is_last:
        return line
    if place.kind in {Kind.NODE, Kind.POOL}:
        line.append(f"  {cell(entry, letters)}", style="bold")
        line.append(f" {_counts(entry, view)}")
    else:
        line.append(f"  {_counts(entry, view)}")
    node = view.nodes.get(place.key) if place.kind is Kind.NODE else None
    if node is not None and node.is_cordoned:
        line.append(" cordoned", style="yellow")
    if node is not None and not node.is_ready:
        line.append(" not ready", style="red")
    if node is not None and node.taints:
        line.append(f" taints {', '.join(taint_text(taint) for taint in node.taints)}", style="yellow")
    return line


def taint_text(taint: Taint) -> str:
    """As kubectl writes it."""
    return f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"


def _title(place: Place, view: View) -> str:
    if place.kind is Kind.DOMAIN:
        return f"{view.titles.get(place.level, place.level)} {place.name}"
    if place.key.startswith(BOARD) and len(place.name) > _BOARD_NAME:
        return f"{place.name[:_BOARD_NAME]}…"
    return f"{_TITLES.get(place.kind, '')}{place.name}"


def _whereabouts(place: Place, view: View) -> str:
    """The place with the node that it is part of."""
    if place.kind is Kind.ISLAND:
        return f"island {place.name}"
    if place.kind in {Kind.CLUSTER, Kind.DOMAIN, Kind.NODE, Kind.POOL}:
        return _title(place, view)
    return f"{_title(place, view)} of {node_of(view.graph, place)}"


def _state(entry: Entry, view: View) -> Text:
    state = entry.state or State.FREE
    text = Text(f" {state.value}", style=_STYLE[state])
    if entry.holders:
        text.append(f" {', '.join(_holder(holding) for holding in entry.holders)}", style="default")
    if entry.holders and entry.capacity:
        left = ", ".join(f"{each.name} {format_quantity(each.left)}" for each in entry.capacity)
        text.append(f" ({left} left)", style="dim")
    parts = [part for part in entry.children if part.place.kind is Kind.PARTITION]
    if parts:
        free = sum(part.state is State.FREE for part in parts)
        amount = (
            counted(free, "partition") if view.only_free else f"{free} of {counted(len(parts), 'partition')}"
        )
        text.append(f" ({amount} can be had)", style="dim")
    return text


def _holder(holding: Holding) -> str:
    amounts = ", ".join(f"{name} {format_quantity(amount)}" for name, amount in holding.consumed)
    return holding.name + (f" [{amounts}]" if amounts else "")


def _counts(entry: Entry, view: View) -> str:
    """What is free of what is there; GPUs first, then what else a node counts (partitions by device plugin, say)."""
    counts = sorted(entry.counts(), key=lambda count: "gpu" not in count.driver)
    amounts = {count.driver: (count.total, count.free) for count in counts}
    if entry.place.kind is Kind.NODE:
        for name, found in resources(entry.place, view).items():
            amounts.setdefault(name, found)
    if not amounts:
        return "no devices"
    # Totals of a tree without what is held would be no totals.
    texts = [
        f"{free} {name}" if view.only_free else f"{free}/{total} {name}"
        for name, (total, free) in amounts.items()
    ]
    return f"{', '.join(texts)} free"


def resources(node: Place, view: View) -> dict[str, tuple[int, int]]:
    """Resource -> (allocatable, what can be had) of a node, without what every node has."""
    found = view.nodes[node.key]
    takes_pods = found.is_ready and not found.is_cordoned
    return {
        name: (total, total - view.holders.used.get((node.key, name), 0) if takes_pods else 0)
        for name, total in found.allocatable
        if name not in _BASIC and "/" in name and total
    }


def spans(view: View) -> Iterator[tuple[str, Holding, list[Place], Place]]:
    """Each holder with its devices and the smallest place that holds them all."""
    found: dict[str, tuple[Holding, dict[Place, None]]] = {}
    for entry in view.root.walk():
        for holding in entry.holders:
            found.setdefault(holding.name, (holding, {}))[1][entry.place] = None
    for name, (holding, devices) in sorted(found.items()):
        yield name, holding, list(devices), meeting_place(view.graph, list(devices))


def all_reduce_of(devices: Sequence[Place], view: View) -> float | None:
    """Estimated bus bandwidth among the GPUs of a holder; network cards held with them take no part."""
    gpus = [device for device in devices if "gpu" in device.level]
    return all_reduce_gbps(view.graph, gpus or devices, view.speeds)


def node_of(graph: FleetGraph, device: Place) -> str:
    return next((place.key for place in graph.above(device) if place.kind is Kind.NODE), "")
