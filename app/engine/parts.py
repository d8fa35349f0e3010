"""What a process may do, each part with workers of its own if an operator wants so."""

LINES = "lines"  # send lines
JOBS = "jobs"  # plan and finalise batches, step the jobs that providers run
UPKEEP = "upkeep"  # sweep
ALL = frozenset({LINES, JOBS, UPKEEP})
# The kinds of steps that JOBS are, and that UPKEEP is besides sweeping.
PLAN, FINALISE, JOB = "plan", "finalise", "job"
DELIVER = "deliver"
KINDS = frozenset({LINES, PLAN, FINALISE, JOB, DELIVER})
