"""`make gpu-check`: run the trainer on the GPUs of this machine, and measure it. See `python -m bench.gpu --help`."""
