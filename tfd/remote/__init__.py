"""Runs in a cluster, seen through the user's own `kubectl` and with the user's own rights."""
