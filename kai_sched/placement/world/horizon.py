"""Horizon: of which time a question about room is asked."""

from __future__ import annotations

from enum import IntEnum


class Horizon(IntEnum):
    """``NOW``: what is free this moment. ``LATER``: also what those hold who are leaving."""

    NOW = 0
    LATER = 1
