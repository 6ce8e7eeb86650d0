"""Compares runs: the settings in which they differ, and their results."""
