"""The core knows no vendor: names of vendors stand in the policy's defaults and among KAI's own names only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "kai_sched"
ALLOWED = (
    "model/policy.py",  # defaults of the settings
    "api/keys.py",  # KAI's own names
)
VENDOR = re.compile(r"(?<![a-z])(nvidia|amd|intel|habana|gaudi)(?![a-z0-9])", re.IGNORECASE)
MODULES = [
    path for path in sorted(PACKAGE.rglob("*.py")) if not str(path.relative_to(PACKAGE)).startswith(ALLOWED)
]


def words_of(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every string literal and identifier; what only documents is left out."""
    tree = ast.parse(source)
    documentation = {
        id(statement.value)
        for statement in ast.walk(tree)
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text) | bytes(text)) if id(node) not in documentation:
                yield node.lineno, text if isinstance(text, str) else text.decode(errors="replace")
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.arg(arg=text):
                yield node.lineno, text
            case ast.FunctionDef(name=text) | ast.AsyncFunctionDef(name=text) | ast.ClassDef(name=text):
                yield node.lineno, text
            case ast.keyword(arg=str(text)):
                yield node.value.lineno, text
            case ast.alias(name=text, asname=other):
                yield node.lineno, f"{text} {other or ''}"


def vendors_in(source: str) -> list[str]:
    return [f"line {line}: {text}" for line, text in words_of(source) if VENDOR.search(text)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_names_no_vendor(path: Path):
    assert vendors_in(path.read_text()) == []


@pytest.mark.parametrize("allowed", ALLOWED)
def test_nothing_is_allowed_that_is_not_used(allowed: str):
    assert vendors_in((PACKAGE / allowed).read_text())


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('LABEL = "nvidia.com/gpu"', 1),
        ('f"{name}.amd.com"', 1),
        ('x = b"gaudi"', 1),
        ("def intel_gpus(): pass", 1),
        ("NVIDIA = 1", 1),
        ("f(habana=1)", 1),
        ("class A:\n    amd: int", 1),
        ("from x import nvidia_smi", 1),
        ('"""Of nvidia.com."""', 0),
        ('x = 1\n"""As nvidia.com has it."""', 0),
        ("# nvidia.com", 0),
        ('x = "linux/amd64"', 0),
        ('x = "intelligent"', 0),
    ],
)
def test_vendors_are_found_in_what_runs(source: str, count: int):
    assert len(vendors_in(source)) == count
