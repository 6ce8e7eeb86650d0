"""The tasks that come with the trainer."""
