"""Judges a scheduler from the outside: whatever pod gets a node must be allowed to run there.

Independent of the scheduler on purpose: plain documents of the API server, parsed here once more. It sees the whole
history in the order of the API server's revisions, so that a wrong state of a moment is caught as well.
"""

from kai_sched.localcluster.conformance.rules import Violation
from kai_sched.localcluster.conformance.watcher import ConformanceWatcher

__all__ = ["ConformanceWatcher", "Violation"]
