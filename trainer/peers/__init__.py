"""Communication between the tasks of a run: start barrier, health checks, preemption and exit."""
