"""Change the tasks of elastic runs at random, and check that each run ends as an undisturbed one: `make soak`."""
