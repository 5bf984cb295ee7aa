"""Tables of a plan for people: where pods go, who waits and why, and what every queue is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from kai_sched.cli.output import most_rows, print_hanging, table
from kai_sched.model.texts import shown

Document = Mapping[str, Any]
_COLOUR = {"Placed": "green", "Pipelined": "cyan", "Unplaced": "yellow", "NotReady": "magenta"}
PROSPECTS = {"Never": ", never", "NotNow": ", not now", "NotYourTurn": ", not its turn"}
MOST_ROWS = 40
"""Longer lists are cut on a terminal, with the number left out said."""


def print_plan(plan: Document, console: Console) -> None:
    """A whole plan."""
    _print_rows(
        console, "Placed", ("POD", "NODE", "GPUS AND DEVICES"), [_bind_row(bind) for bind in plan["binds"]]
    )
    _print_rows(
        console,
        "Pipelined",
        ("POD", "NODE", "WAITS FOR"),
        [(row["pod"], row["node"], ", ".join(row["waitsFor"])) for row in plan["pipelined"]],
    )
    _print_rows(
        console,
        "Leaving",
        ("POD", "STAGE", "FOR"),
        [(row["pod"], row["stage"], row["beneficiary"] or "") for row in plan["evictions"]],
    )
    print_verdicts(plan["verdicts"], console)
    console.print()
    print_shares(plan["shares"], console)
    print_solver(plan["solver"], console)


def print_verdicts(verdicts: Sequence[Document], console: Console) -> None:
    """Every verdict as two lines: what, and why with the next step."""
    if not verdicts:
        console.print("Nothing is waiting.")
        return
    console.print(Text("Verdicts", style="bold"))
    shown_rows = verdicts[: most_rows(console, MOST_ROWS)]
    for verdict in shown_rows:
        outcome = verdict["verdict"]
        line = Text(f"{shown(verdict['podGroup'])} ")
        line.append(outcome, style=_COLOUR[outcome])
        if verdict["blocker"]:
            line.append(f" {verdict['blocker']}", style="bold")
            line.append(PROSPECTS.get(verdict.get("prospect", ""), ""))
            line.append(" (proven)" if verdict.get("proof") else "", style="dim")
        console.print(line)
        print_hanging(console, Text(f"  {verdict['message']}"))
        if verdict.get("nextStep"):
            print_hanging(console, Text(f"  next: {verdict['nextStep']}", style="dim"))
    if len(verdicts) > len(shown_rows):
        console.print(f"... and {len(verdicts) - len(shown_rows)} more (-o json shows all)")


def print_shares(shares: Sequence[Document], console: Console) -> None:
    """GPU shares a queue; the other resources are in the JSON."""
    rows = [
        (
            share["queue"],
            _amount(share["deserved"]),
            _amount(share["fairShare"]),
            _amount(share["allocated"]),
            _amount(share["requested"]),
            _amount(share["limit"]),
        )
        for share in shares
        if share["resource"] == "gpu"
    ]
    _print_rows(console, "GPU shares", ("QUEUE", "DESERVED", "FAIR", "ALLOCATED", "REQUESTED", "LIMIT"), rows)


def print_solver(solver: Document, console: Console) -> None:
    """How good the plan is known to be: its objective, with the bound where a better plan is not ruled out."""
    print_hanging(console, Text(solver_text(solver["status"], solver["objective"], solver["bound"])))


def solver_text(status: str, objective: Mapping[str, int], bound: Mapping[str, int]) -> str:
    """Such as ``solver FEASIBLE: gangsRescued 0, surplusDomains 3 (at best 1)``."""
    tiers = [
        f"{name} {value}" + (f" (at best {bound[name]})" if bound.get(name, value) != value else "")
        for name, value in objective.items()
    ]
    return f"solver {status}" + (f": {', '.join(tiers)}" if tiers else "")


_LAYOUT: Final = {
    "surplusDomains": "domains spanned beyond the fewest",
    "openedNodes": "nodes used that were all free",
    "openedBoxes": "whole GPUs cut into partitions",
}


def quality_text(status: str, objective: Mapping[str, int], bound: Mapping[str, int]) -> str:
    """The same for somebody who knows nothing of tiers: whether more gangs, or a better layout, are ruled out."""
    if status == "GREEDY":
        return "The plan is the first that was found: there was no time to look for a better one."
    open_tiers = [name for name in objective if bound.get(name, objective[name]) != objective[name]]
    if not open_tiers:
        return "The plan is proven the best: none places more gangs, or lays them out closer together."
    gangs = [name for name in open_tiers if name not in _LAYOUT]
    text = (
        "It is not ruled out that another plan places more gangs."
        if gangs
        else "Proven: no plan places more gangs."
    )
    layout = [
        f"{_LAYOUT[name]}: {objective[name]}, {bound[name]} not ruled out"
        for name in open_tiers
        if name in _LAYOUT
    ]
    return text + (f" How they lie may not be the best ({'; '.join(layout)})." if layout else "")


def _bind_row(bind: Document) -> tuple[str, str, str]:
    devices = [device.split("/", 1)[1] for claim in bind["claims"] for device in claim["devices"]]
    indices = [f"gpu {index}" for index in bind["gpuIndices"]]
    return bind["pod"], bind["node"], ", ".join((*indices, *devices))


def _amount(value: float | None) -> str:
    return "unlimited" if value is None else f"{value:g}"


def _print_rows(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    if not rows:
        return
    shown_rows = rows[: most_rows(console, MOST_ROWS)]
    console.print(table(title, columns, shown_rows))
    if len(rows) > len(shown_rows):
        console.print(f"... and {len(rows) - len(shown_rows)} more (-o json shows all)")
    console.print()
