"""The one error that a user can cause."""


class UsageError(Exception):
    """The user's mistake (a bad option, configuration or path): one clear line that says what to do, exit 2."""
