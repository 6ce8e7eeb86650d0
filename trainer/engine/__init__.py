"""How training runs: strategies, the loop, progress, evaluation."""
