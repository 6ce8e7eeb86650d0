"""The trainer: one training loop for TensorFlow's distribution strategies, driven by `TF_CONFIG` and a run record.

    python -m trainer                         train the task in the run record
    python -m trainer -- my_script.py ARGS    run a custom script with the same startup, exit and failure handling

Its inputs are environment variables (`trainer.runtime.config`). Its outputs are a run directory
(`trainer.storage.run_dir`), log lines on standard error and an exit code (`trainer.runtime.errors`).
"""
