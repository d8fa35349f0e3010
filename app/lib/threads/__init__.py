"""What the threads of a process share: slots for dear work, cuts of calls, episodes of failure."""
