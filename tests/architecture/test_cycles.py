"""No module needs itself: whichever is imported first, the others can be."""

import ast
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).parents[2]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path, known: set[str]) -> set[str]:
    """Modules of ours that are imported as this one is, and not later inside of functions."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= modules or {node.module}
    return found & known


def graph_of(paths: list[Path]) -> "nx.DiGraph[str]":
    known = {name_of(path) for path in paths}
    return nx.DiGraph((name_of(path), other) for path in paths for other in imports_of(path, known))


def test_no_module_imports_itself_by_way_of_others():
    graph = graph_of(list((ROOT / "kai_sched").rglob("*.py")))

    assert graph.number_of_edges() > 1000
    assert [sorted(ring) for ring in nx.strongly_connected_components(graph) if len(ring) > 1] == []


def test_a_ring_is_seen(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    for name, other in (("a", "b"), ("b", "c"), ("c", "a")):
        (tmp_path / f"{name}.py").write_text(f"from {other} import thing\n")

    graph = graph_of(list(tmp_path.glob("*.py")))

    assert [sorted(ring) for ring in nx.strongly_connected_components(graph)] == [["a", "b", "c"]]
