"""Services for every process: configuration, errors, logs, signals, threads and devices."""
