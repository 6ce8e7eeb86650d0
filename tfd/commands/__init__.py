"""The subcommands of tfd, one module each: a function `command` that reads its options, calls a package and prints."""
