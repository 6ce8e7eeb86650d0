"""`python -m bench.scaling`: the predictions of `tfd plan` against measured runs on this machine."""
