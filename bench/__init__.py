"""The benchmark of `make bench`: the trainer against a hand-written loop."""
