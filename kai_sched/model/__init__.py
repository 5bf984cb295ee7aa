"""Nouns of the scheduler: frozen values without algorithms, shared by every layer."""
