"""Why pods found no place."""
