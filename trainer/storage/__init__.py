"""The files of a run: run directory, checkpoints, lease, status and results."""
