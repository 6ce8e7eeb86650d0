"""The roles of a process: read the role from TF_CONFIG, run it, and exit with its exit code."""
