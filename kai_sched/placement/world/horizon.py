"""Horizon: of which time a question about room is asked."""

from __future__ import annotations

from enum import Enum


class Horizon(Enum):
    """``NOW``: what is free this moment. ``LATER``: also what those hold who are leaving."""

    NOW = "now"
    LATER = "later"
