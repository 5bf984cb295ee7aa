"""The judge's contract names every engine: a new module of placement or planning is forbidden to it at once."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
JUDGE = {"kai_sched.placement.checker", "kai_sched.planning.checks"}


def test_the_contract_of_the_judge_names_all_that_stands_beside_it():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (one for one in contracts if one["name"] == "The judge knows no engine")

    beside = {
        f"kai_sched.{package}.{path.stem}"
        for package in ("placement", "planning")
        for path in (ROOT / "kai_sched" / package).iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and not path.stem.startswith("__")
    }
    assert set(contract["source_modules"]) == JUDGE
    assert beside - JUDGE <= set(contract["forbidden_modules"])
