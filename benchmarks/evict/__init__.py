"""What evictions cost, and how long deciding them takes."""
