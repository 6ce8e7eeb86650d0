"""The engine of the training: strategies, the loop, progress and evaluation."""
