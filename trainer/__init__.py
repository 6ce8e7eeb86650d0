"""The trainer: one training loop for TensorFlow's distribution strategies, driven by `TF_CONFIG` and a run record.

    python -m trainer                         trains the task that the run record names
    python -m trainer -- my_script.py ARGS    runs an own script with the same start, end and failure handling

Its inputs are environment variables (`trainer.config`), its outputs a run directory (`trainer.rundir`), log lines on
standard error and an exit code (`trainer.exits`).
"""
