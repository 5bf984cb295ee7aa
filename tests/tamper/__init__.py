"""Plans tampered with one by one, and bugs planted in the engine: for every promise, that the judge sees it broken."""
