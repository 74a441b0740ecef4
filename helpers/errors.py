"""The one error that means "what was given cannot be used", and the one warning: each is printed in one line."""


class InputError(ValueError):
    """Bad input. The message names the file, what was found, what was expected and what to do."""


class InputWarning(UserWarning):
    """Input that can be used but is hardly what was meant. The message says what an `InputError` would."""


def in_a_line(error: Exception) -> str:
    """Give another library's message in one line, or the error's kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
