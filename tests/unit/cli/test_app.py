"""What all commands share: help with an example, the version, errors for what does not exist."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from kai_sched import __version__
from kai_sched.cli.app import app
from tests.unit.cli.conftest import Run


def commands(group=None, path=()):
    """Every command with its path."""
    group = group or get_command(app)
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = dict(commands())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_helps_with_an_example(path):
    assert f"kai-sched {' '.join(path)}" in (ALL[path].help or "")


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_option_says_what_it_is(path):
    silent = [
        parameter.name
        for parameter in ALL[path].params
        if parameter.param_type_name == "option" and not getattr(parameter, "help", "")
    ]

    assert silent == []


def test_the_version_is_printed_in_each_form(run: Run):
    assert run("version").out == f"kai-sched {__version__}\n"
    assert run("version", "-o", "json").document == {"version": __version__}


def test_a_command_that_does_not_exist_is_bad_input(run: Run):
    answer = run("guess")

    assert answer.code == 2
    assert "guess" in answer.err


def test_the_version_and_help_by_every_name(run):
    assert run("--version").out == run("version").out == f"kai-sched {__version__}\n"
    for command in ("plan", "simulate", "topology", "snapshot", "run", "webhook", "crds", "dev", "demo"):
        assert run(command, "-h").out == run(command, "--help").out != ""
    assert run("crds", "diff", "-h").code == 0


def test_signs_that_the_terminal_lacks_do_not_end_a_command(tmp_path):
    racks = Path(__file__).parents[3] / "examples/snapshots/mixed-fleet.yaml"
    ended = subprocess.run(
        [sys.executable, "-m", "kai_sched", "topology", "-f", str(racks)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"gpu.nvidia.com free" in ended.stdout
