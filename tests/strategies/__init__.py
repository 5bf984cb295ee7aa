"""Hypothesis strategies: small clusters with every kind of trouble that placement has to get right."""

from tests.strategies.clusters import snapshots

__all__ = ["snapshots"]
