"""The fleet for programs: all of an inventory as one document."""

from __future__ import annotations

from typing import Any

from kai_sched.cli.topology_views import View, all_reduce_of, node_of, resources, spans, taint_text
from kai_sched.model.quantity import format_quantity
from kai_sched.topology.graph import Kind
from kai_sched.topology.holders import Holding
from kai_sched.topology.inventory import Entry

Document = dict[str, Any]


def view_document(view: View, topology: str) -> Document:
    """All of it, whatever its depth."""
    return {
        "topology": topology or None,
        "fleet": _entry_document(view.root, view),
        "holders": [
            {
                "name": name,
                "podGroup": holding.group or None,
                "podGroups": [*([holding.group] if holding.group else []), *holding.more_groups],
                "pods": list(holding.pods),
                "queue": holding.queue or None,
                "devices": [device.key for device in devices],
                "nodes": sorted({node_of(view.graph, device) for device in devices}),
                "spans": {"kind": place.kind.value, "name": place.name},
                "allReduceGBps": all_reduce_of(devices, view),
            }
            for name, holding, devices, place in spans(view)
        ],
    }


def _entry_document(entry: Entry, view: View) -> Document:
    place = entry.place
    document: Document = {"kind": place.kind.value, "name": place.name}
    if place.kind is Kind.DOMAIN:
        document |= {"level": place.level, "alias": view.titles.get(place.level)}
    if place.kind is Kind.NODE:
        node = view.nodes[place.key]
        counted = {
            name: {"allocatable": total, "free": free}
            for name, (total, free) in resources(place, view).items()
        }
        document |= {
            "ready": node.is_ready,
            "cordoned": node.is_cordoned,
            "taints": [taint_text(taint) for taint in node.taints],
            "resources": counted,
        }
    if entry.state is not None:
        island = view.graph.island(place)
        document |= {
            "id": place.key,
            "driver": place.level,
            "state": entry.state.value,
            "nvlinkIsland": island.name if island is not None else None,
            "holders": [_holding_document(holding) for holding in entry.holders],
            "capacity": {
                each.name: {"total": format_quantity(each.total), "free": format_quantity(each.left)}
                for each in entry.capacity
            },
        }
    else:
        document["devices"] = [
            {"driver": count.driver, "total": count.total, "free": count.free} for count in entry.counts()
        ]
    if entry.children:
        document["children"] = [_entry_document(child, view) for child in entry.children]
    return document


def _holding_document(holding: Holding) -> Document:
    return {
        "claim": holding.claim or None,
        "pods": list(holding.pods),
        "podGroup": holding.group or None,
        "queue": holding.queue or None,
        "consumed": {name: format_quantity(amount) for name, amount in holding.consumed},
    }
