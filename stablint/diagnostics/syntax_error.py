"""STB901 syntax-error."""

from stablint.finding import Severity
from stablint.rule import Rule


class SyntaxError_(Rule):  # noqa: N801 - the name without the bar is taken
    """A file is not valid Python.

    ## What it does
    Reports where Python stops understanding a file, in Python's own words. The Python that runs stablint
    decides; a file that needs a newer one is reported too, and the message says which one was asked.

    ## Why it is bad
    Nothing else in the file was checked.

    ## Example
    ```python
    for batch in loader
        train(batch)
    ```

    ## Use instead
    ```python
    for batch in loader:
        train(batch)
    ```

    ## When to ignore it
    It cannot be ignored by a comment: there is no telling comments from text in a file that is not Python.
    Exclude files that are broken on purpose, and run stablint with the newest Python that the project uses.

    ## Fix safety
    There is no fix.

    ## References
    - [The Python language reference: grammar](https://docs.python.org/3/reference/grammar.html)
    """

    code = "STB901"
    severity = Severity.ERROR
    since = "0.1.0"
    bad = (
        """
        for batch in loader  # flagged
            train(batch)
        """,
    )
    good = (
        """
        for batch in loader:
            train(batch)
        """,
    )

    @classmethod
    def name(cls) -> str:
        """The name, without the bar that keeps the class apart from Python's own."""
        return "syntax-error"
