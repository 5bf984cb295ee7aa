"""The command line as a user meets it: arguments in, exit code and both streams out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import orjson
import pytest

from kai_sched.cli.app import main


@dataclass(frozen=True)
class Answer:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self):
        return orjson.loads(self.out)

    @property
    def lines(self):
        return [orjson.loads(line) for line in self.out.splitlines()]


class Run(Protocol):
    """``run("plan", "-f", path)``."""

    def __call__(self, *arguments: object) -> Answer: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    # The width is the test's to say, not that of whoever started the tests.
    monkeypatch.delenv("COLUMNS", raising=False)

    def answer(*arguments: object) -> Answer:
        monkeypatch.setattr("sys.argv", ["kai-sched", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        streams = capsys.readouterr()
        return Answer(code, streams.out, streams.err)

    return answer


@pytest.fixture
def racks() -> Path:
    """Two racks; a gang that fits one, a single pod, a gang that no rack holds."""
    return Path(__file__).parents[3] / "examples/snapshots/two-racks.yaml"
