"""What all commands share: help with an example, the version, errors for what does not exist."""

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


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("plan",), "--file"),
        (("plan", "-f"), "-f"),
        (("plan", "-f", "x", "-o", "xml"), "--output"),
        (("simulate", "-f", "x", "--cycles", "0"), "--cycles"),
        (("run", "--metrics-port", "99999"), "--metrics-port"),
        (("dev", "up", "--provider", "cloud"), "--provider"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_one_line_that_names_the_option(run: Run, arguments: tuple[str, ...], named: str):
    answer = run(*arguments)

    assert (answer.code, answer.out) == (2, "")
    assert len(answer.err.splitlines()) == 1
    assert named in answer.err
    assert "--help" in answer.err


@pytest.mark.parametrize("command", [("snapshot",), ("crds", "diff"), ("run",), ("topology",)], ids=" ".join)
@pytest.mark.parametrize(
    "content", [b"", b"- 3\n", bytes(range(256)), b"apiVersion: v1\nkind: Config\n", None]
)
def test_a_file_that_is_no_kubeconfig_is_one_line_that_names_it(
    run: Run, command: tuple[str, ...], content: bytes | None, tmp_path: Path
):
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_bytes(content)

    answer = run(*command, "--kubeconfig", path)

    assert (answer.code, answer.out) == (2, "")
    assert len(answer.err.splitlines()) == 1
    assert str(path) in answer.err
