"""What a process may do, each part with workers of its own if an operator wants so."""

LINES = "lines"  # send lines
JOBS = "jobs"  # plan and finalise batches, step the jobs that providers run
UPKEEP = "upkeep"  # sweep
ALL = frozenset({LINES, JOBS, UPKEEP})
