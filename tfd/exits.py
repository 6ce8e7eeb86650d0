"""What the exit code of a task says."""

MEANINGS = {
    1: "the run can't succeed: a Python error in the task, or bad data",
    2: "bad configuration",
    75: "lost a peer and could not get it back",
    76: "gave up waiting for a peer",
    126: "the command can't be executed",
    127: "no such program",
    137: "killed, perhaps out of memory",
    139: "crashed with a segmentation fault",
    143: "told to stop",
}
