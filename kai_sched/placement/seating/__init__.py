"""Greedy: seats gangs one after another."""
