"""What a run writes: its directory, checkpoints, lease and results."""
