"""The one error that means "what was given cannot be used": the command line prints it in one line."""


class InputError(ValueError):
    """Bad input. The message names the file, what was found, what was expected and what to do."""


def in_a_line(error: Exception) -> str:
    """Give another library's message in one line, or the error's kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
