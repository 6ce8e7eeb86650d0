"""The command line of tf-distributed: checks job files and runs them on this machine. Never imports TensorFlow."""

from importlib.metadata import version

__version__ = version("tf-distributed")
