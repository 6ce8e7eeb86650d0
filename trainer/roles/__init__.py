"""What a process is: it reads its role from TF_CONFIG and runs it to an exit code."""
