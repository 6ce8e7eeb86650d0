"""`tfd doctor`: what a cluster must have for the runs of a team, one finding for each requirement."""
