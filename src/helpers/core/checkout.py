"""What git says of this checkout: its commit and the day of it."""

from __future__ import annotations

import subprocess

from helpers.core import files

__all__ = ["git_date", "git_revision"]


def git_revision() -> str | None:
    """The commit of this checkout, with "+" where files other than results differ; None outside a repository."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)results")
    commit = _git("rev-parse", "HEAD")
    return None if commit is None or changed is None else commit + ("+" if changed else "")


def git_date() -> str | None:
    """The day of this checkout's commit (YYYY-MM-DD); None outside a repository."""
    return _git("log", "-1", "--format=%cs")


def _git(*arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(files.ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
