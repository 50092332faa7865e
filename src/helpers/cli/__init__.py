"""The command `quantdetect`."""

from helpers.cli.command import app, main

__all__ = ["app", "main"]
