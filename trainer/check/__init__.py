"""`python -m trainer check`: test a task without a run, and print a description of the task or its first error."""
