"""How the tasks of a run find, watch and stop each other."""
