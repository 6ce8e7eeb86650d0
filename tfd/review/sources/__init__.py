"""What a review reads: git, job files, charts, rendered objects."""
