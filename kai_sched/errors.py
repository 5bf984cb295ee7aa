"""The exceptions of kai_sched; expected outcomes are values, these are for what a caller cannot plan for.

KaiSchedError
├── InvalidInput           a file, flag or object is wrong: names source, object and field
├── SolverFailed           the solving child died, hung or answered nonsense
├── ControlPlaneError      the local control plane could not be built, started or stopped
└── ApiFailure             the API server refused or did not answer (``retryable`` says which)
"""

from __future__ import annotations


class KaiSchedError(Exception):
    """Base of all errors that kai_sched raises on purpose."""


class InvalidInput(KaiSchedError):
    """Bad input, as one line ``source: object: field: reason`` (parts that are unknown are left out)."""

    def __init__(self, reason: str, *, source: str = "", obj: str = "", field: str = "") -> None:
        self.reason = reason
        self.source = source
        self.obj = obj
        self.field = field
        super().__init__(": ".join(part for part in (source, obj, field, reason) if part))


class SolverFailed(KaiSchedError):
    """The solving child died, hung or answered nonsense."""


class ControlPlaneError(KaiSchedError):
    """The local control plane could not be built, started or stopped."""


class ApiFailure(KaiSchedError):
    """The API server refused a call or did not answer it.

    ``status`` is the HTTP status (0: no answer), ``reason`` Kubernetes' own reason string,
    ``retry_after_seconds`` when the server asks to come back.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        reason: str = "",
        retryable: bool,
        retry_after_seconds: float | None = None,
    ) -> None:
        self.status = status
        self.reason = reason
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)
