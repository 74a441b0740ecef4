"""The one error that means "what was given cannot be used": the command line prints it in one line."""


class InputError(ValueError):
    """Bad input. The message names the file, what was found, what was expected and what to do."""
