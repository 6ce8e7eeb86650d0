"""`make bench`: the trainer against a hand-written loop, in turns in one run."""
