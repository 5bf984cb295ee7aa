"""``crds generate|check``: files from models, drift found and named."""

from __future__ import annotations

from pathlib import Path

from kai_sched.api.generated import generated_files
from tests.unit.cli.conftest import Run


def test_generate_writes_every_file_and_again_the_same(run: Run, tmp_path: Path) -> None:
    first = run("crds", "generate", "--root", tmp_path)
    before = {path: path.read_text() for path in tmp_path.rglob("*.*")}

    second = run("crds", "generate", "--root", tmp_path)

    assert (first.code, second.code) == (0, 0)
    assert first.out.split() == list(generated_files())
    assert {path: path.read_text() for path in tmp_path.rglob("*.*")} == before
    assert {str(path.relative_to(tmp_path)) for path in before} == set(generated_files())


def test_check_is_content_with_what_generate_wrote_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    run("crds", "generate", "--root", tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    answer = run("crds", "check", "--root", tmp_path)

    assert (answer.code, answer.out, answer.err) == (0, "", "")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == stamps


def test_check_names_what_is_changed_missing_or_nobodys(run: Run, tmp_path: Path) -> None:
    run("crds", "generate", "--root", tmp_path)
    changed, missing = sorted((tmp_path / "crds").glob("*.yaml"))[:2]
    changed.write_text(changed.read_text() + "# by hand\n")
    missing.unlink()
    (tmp_path / "crds/stray.yaml").write_text("")

    answer = run("crds", "check", "--root", tmp_path)

    assert answer.code == 1
    named = [line.split()[0] for line in answer.err.splitlines() if line.startswith("crds/")]
    assert named == sorted([f"crds/{changed.name}", f"crds/{missing.name}", "crds/stray.yaml"])


def test_a_cluster_that_is_not_there_is_one_line_and_code_two(run: Run, tmp_path: Path) -> None:
    answer = run("crds", "diff", "--kubeconfig", tmp_path / "none")

    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1
