"""Days of a deployment among faults, against the same days without: `tests/drills/chaos` runs it."""
