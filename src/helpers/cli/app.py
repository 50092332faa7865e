"""The command `quantdetect`: its subcommands in a table, and its errors, each in one line."""

from __future__ import annotations

import errno
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer

from helpers.cli import book, detect, fetch, footprint, scores, study, train
from helpers.core.errors import Failure, UsageError, shortened, shown

__all__ = ["app", "main"]

#: The commands in the order in which help lists them. What needs torch or pandas is imported inside them, so that help
#: and grid answer at once.
COMMANDS = {
    "grid": study.grid,
    "fetch": fetch.fetch,
    "run": study.run,
    "detect": detect.detect,
    "import-scores": scores.import_scores,
    "import-device": scores.import_device,
    "report": book.report,
    "migrate": scores.migrate,
    "verify": study.verify,
    "footprint": footprint.footprint,
}
#: Those of the group `train`.
TRAIN = {"mini": train.train_mini, "detector": train.train_detector}

_STOPPED = "stopped; call it again to go on where it stopped"

#: What to do about an error of the system, by its number.
_MENDS = {
    errno.ENOSPC: "free some space there, or name another place",
    errno.EDQUOT: "free some space there, or name another place",
    errno.EROFS: "name a place that can be written",
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOENT: "name one that is there",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "name a folder",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def _command() -> typer.Typer:
    """The command with its subcommands."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        help="Do deepfake detectors still see images of quantized generators? One study, from models to book.",
    )
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Train models again.")
    for commands, of in ((COMMANDS, app), (TRAIN, group)):
        for name, function in commands.items():
            of.command(name)(function)
    app.add_typer(group, name="train")
    return app


app = _command()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; a user's mistake is one line, not a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        _refuse_empty(arguments)
        with _terminable():
            status = app(args=book.joined(arguments), standalone_mode=False, prog_name="quantdetect")
        # typer turns an interruption into this status.
        return _complain(_STOPPED, 130) if status == 130 else status if isinstance(status, int) else 0
    except (UsageError, Failure) as error:
        if details := getattr(error, "details", ""):
            print(details, file=sys.stderr)
        return _complain(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _complain(_STOPPED, 130)
    except OSError as error:
        return _complain(_of_system(error), 1)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == "helpers":
            raise
        return _complain(f"{error.name} is not installed; pip install 'quantdetect[models]' brings it", 1)
    except Exception as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, of a GPU
            return _complain("the memory is too small for this; ask for less at once, or use a larger machine", 1)
        # typer bundles click or depends on it, by version: its errors are known by their shape.
        if not hasattr(error, "format_message"):
            raise
        return _complain(error.format_message(), getattr(error, "exit_code", 2))


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, which a scheduler or a shutdown sends, stops a command as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _refuse_empty(arguments: Sequence[str]) -> None:
    """No option and no argument of any command has a use for an empty value; a folder "" would be this one."""
    for before, word in zip(["", *arguments], arguments, strict=False):
        option, sign, value = word.partition("=") if word.startswith("--") else (before, "=", word)
        if (sign and not value) or "\0" in word:
            raise UsageError(f"{shortened(option) or 'the command'}: {shown(value)} names nothing; give it a value")


def _of_system(error: OSError) -> str:
    place = f"{shortened(str(error.filename))}: " if error.filename is not None else ""
    return f"{place}{error.strerror or error}; {_MENDS.get(error.errno, 'mend that, then call it again')}"


def _complain(line: str, status: int) -> int:
    # A word that fills the screen is cut, wherever it came from.
    line = re.sub(r"\S{240,}", lambda word: f"{word[0][:100]}...{word[0][-40:]}", line)
    print(f"quantdetect: {shortened(line, 2000)}", file=sys.stderr)
    return status
