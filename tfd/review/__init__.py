"""What merging a pull request would do to the runs, read from git without a cluster."""
