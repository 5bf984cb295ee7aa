"""The solving child: reads requests from standard input, streams plans to standard output.

Run as ``python -m kai_sched.solving.child [niceness]``. It ends when its input ends, which is also how it notices
that the parent is gone: a thread of its own reads, so that this works in the middle of a solve.
"""

from __future__ import annotations

import os
import queue
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import BinaryIO

from kai_sched.errors import InvalidInput, SolverFailed
from kai_sched.model.plan import Outcome, Plan
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.placement.solver import cpsat
from kai_sched.planning.cycle import Deciding
from kai_sched.planning.outlook.rota import Rota
from kai_sched.solving.frames import decode, read_frame_from, write_frame
from kai_sched.solving.interning import KnownSpecs
from kai_sched.solving.messages import DecideRequest, Finished, Improved, Prospects, Raised, Ready

_BETWEEN_PLANS_SECONDS = 0.25
_WAIT = frozenset({Outcome.UNPLACED, Outcome.NOT_READY})


def main() -> None:
    """Serve requests until the input ends."""
    if len(sys.argv) > 1:
        os.nice(int(sys.argv[1]))
    replies = _own_output()
    requests: queue.SimpleQueue[list[bytes]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, requests), daemon=True).start()
    worker = _Worker(replies, lambda: not requests.empty())
    write_frame(replies, Ready(process=os.getpid()))
    worker.serve(requests.get())
    # Nobody waits now. Before the first decision everybody would, and most need no solver.
    cpsat.load()
    while True:
        worker.serve(requests.get())


def _own_output() -> BinaryIO:
    """Standard output for frames alone: whatever a library prints goes to standard error."""
    frames = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return frames


def _read(stream: BinaryIO, requests: queue.SimpleQueue[list[bytes]]) -> None:
    try:
        while (parts := read_frame_from(stream)) is not None:
            requests.put(parts)
    except SolverFailed as error:
        sys.stderr.write(f"{error}\n")
    # Not sys.exit: a solve in another thread may go on for seconds that nobody waits for.
    os._exit(0)


class _Worker:
    """Keeps the last fleet and what was derived from it. ``is_asked``: whether another request waits."""

    def __init__(self, replies: BinaryIO, is_asked: Callable[[], bool]) -> None:
        self._replies = replies
        self._fleet = Fleet()
        self._cache = FleetCache()
        self._specs = KnownSpecs()
        self._rota = Rota(is_asked)

    def serve(self, parts: list[bytes]) -> None:
        request = decode(parts)
        if not isinstance(request, DecideRequest):
            raise SolverFailed(f"{type(request).__name__} is no request")
        if request.fleet is not None:
            self._fleet = request.fleet
        number = request.number
        started = time.perf_counter()
        try:
            snapshot = request.columns.restore(self._fleet)
            self._specs.adopt(snapshot)
            deciding = self._decide(snapshot, request)
        except Exception as error:  # noqa: BLE001 — any mistake in deciding is the parent's to judge
            is_input = isinstance(error, InvalidInput)
            text = str(error) if is_input else traceback.format_exc()
            write_frame(self._replies, Raised(number=number, error=text, is_input=is_input))
            return
        is_telling = any(verdict.outcome in _WAIT for verdict in deciding.decided.verdicts)
        finished = Finished(
            number=number,
            seconds=time.perf_counter() - started,
            memory_bytes=_memory_bytes(),
            is_telling=is_telling,
        )
        write_frame(self._replies, finished)
        if is_telling:
            write_frame(self._replies, self._tell(number, deciding))

    def _decide(self, snapshot: ClusterSnapshot, request: DecideRequest) -> Deciding:
        sent_at = 0.0
        waiting: Plan | None = None
        deciding = Deciding(snapshot, request.policy, self._cache, time.perf_counter)
        for plan in deciding.plans():
            # The first plan goes at once; later ones come in quick succession, and each costs the parent a check.
            waiting = plan
            if time.perf_counter() - sent_at >= _BETWEEN_PLANS_SECONDS:
                write_frame(self._replies, Improved(number=request.number, plan=waiting))
                sent_at, waiting = time.perf_counter(), None
        if waiting is not None:
            write_frame(self._replies, Improved(number=request.number, plan=waiting))
        return deciding

    def _tell(self, number: int, deciding: Deciding) -> Prospects:
        try:
            told = deciding.told(self._rota)
        except Exception:  # noqa: BLE001 — what is decided stands, whatever can be said about it
            return Prospects(number=number, error=traceback.format_exc())
        bare = deciding.decided.verdicts
        found = (one for one, before in zip(told.verdicts, bare, strict=True) if one != before)
        return Prospects(number=number, verdicts=tuple(found))


def _memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
