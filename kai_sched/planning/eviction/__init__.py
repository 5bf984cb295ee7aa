"""Who may be made to leave for whom, and what comes of it: one attempt for a gang in its turn."""
