"""STB900 file-not-checked."""

from stablint.finding import Severity
from stablint.rule import Rule


class FileNotChecked(Rule):
    """A file was not checked, though it may be perfectly good Python.

    ## What it does
    Says of a file that stablint could not look at it, and why: it cannot be opened or decoded, it is larger
    than the size limit, it took longer than the time limit, it is nested so deeply that parsers die of it,
    the notebook is no valid JSON, or libcst, the parser that stablint uses, does not know a form that Python
    does.

    ## Why it is bad
    A file that was skipped in silence looks exactly like a file without faults.

    ## Example
    ```python
    (loss): float = 0.0
    ```

    ## Use instead
    ```python
    loss: float = 0.0
    ```

    ## When to ignore it
    It cannot be ignored by a comment: nobody read the comment. Exclude files that need no checking
    (`exclude`), and raise `--time-limit` or `--size-limit` for those that do.

    ## Fix safety
    There is no fix.

    ## References
    - [PEP 263: source code encodings](https://peps.python.org/pep-0263/)
    """

    code = "STB900"
    severity = Severity.ERROR
    since = "0.1.0"
    bad = ("(loss): float = 0.0  # flagged\n",)
    good = ("loss: float = 0.0\n",)
