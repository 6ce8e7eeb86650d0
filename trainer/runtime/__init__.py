"""What each process needs: configuration, errors, logs, signals, threads, devices."""
