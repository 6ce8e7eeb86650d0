"""The `tfd` command: checks, runs, reviews and observes the runs that job files describe. Never imports TensorFlow."""
