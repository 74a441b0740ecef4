"""The one error that means "what was given cannot be used", and the one warning: each is printed in one line."""

import sys
import warnings
from pathlib import Path

PACKAGE = str(Path(__file__).parent / "_")[:-1]  # how the paths of its modules begin


class InputError(ValueError):
    """Bad input. The message names the file, what was found, what was expected and what to do."""


class InputWarning(UserWarning):
    """Input that can be used but is hardly what was meant. The message says what an `InputError` would."""


def warn(message: str) -> None:
    """Give an InputWarning that points at the call of this package from outside, however deep inside it is given."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, InputWarning, stacklevel=level)


def in_a_line(error: Exception) -> str:
    """Give another library's message in one line, or the error's kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def check_unit_range(lowest: float, highest: float, name: str, remedy: str) -> None:
    """Refuse what reaches from `lowest` to `highest` unless that lies in 0 to 1, with an InputError; NaN does not.

    >>> check_unit_range(0, 255, "masks", "divide them by 255")
    Traceback (most recent call last):
    helpers.errors.InputError: masks: expected values from 0 to 1, found 0 to 255; divide them by 255
    """
    if not 0 <= lowest <= highest <= 1:
        raise InputError(f"{name}: expected values from 0 to 1, found {lowest:g} to {highest:g}; {remedy}")
