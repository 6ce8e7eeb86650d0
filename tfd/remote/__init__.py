"""Reads runs in a cluster with the `kubectl` and the permissions of the user."""
