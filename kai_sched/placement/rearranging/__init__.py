"""Moves what this cycle seated, so that more fits or lies closer together."""
