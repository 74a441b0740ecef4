"""Paths as people write them."""

import os
from pathlib import Path


def as_path(given: Path | str) -> Path:
    """Give a path with `~` as the home folder, which no shell does within quotes; an unknown user's stays as it is.

    >>> as_path("~/runs") == Path.home() / "runs"
    True
    """
    return Path(os.path.expanduser(given))
