"""Why a file was left as it was."""


class RefusedError(Exception):
    """Fixes that cannot be made for sure; the message ends the sentence "left as it was: "."""
