"""The subcommands of tfd, one file each."""
