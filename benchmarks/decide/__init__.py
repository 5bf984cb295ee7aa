"""How long one decision takes, beside a plain per-pod scheduler in the same run."""
