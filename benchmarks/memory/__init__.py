"""What the solving child holds, cycle after cycle."""
