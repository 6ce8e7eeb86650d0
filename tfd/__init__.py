"""The `tfd` command: checks, runs, reviews and observes the runs that job files describe. Never imports TensorFlow."""

from importlib.metadata import version

__version__ = version("tf-distributed")
