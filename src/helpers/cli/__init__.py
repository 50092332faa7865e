"""The command `quantdetect`."""

from helpers.cli.app import main

__all__ = ["main"]
