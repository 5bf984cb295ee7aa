"""What to do this cycle: snapshot in, plan out. No clock, no I/O."""
