"""STB902 unused-suppression."""

from stablint.finding import Severity
from stablint.rule import Rule


class UnusedSuppression(Rule):
    """A suppression comment suppresses nothing.

    ## What it does
    Reports a code or name in a `# stablint: ignore[...]`, `disable[...]` or `file-ignore[...]` comment, or a
    code of stablint's in a `# noqa: ...`, that no finding needed, that no rule is called, or that cannot be
    ignored. Only rules that ran on the file are judged, and codes of other linters are left alone.

    ## Why it is bad
    The fault is gone, or never was where the comment stands; the comment stays and will hide the next one.

    ## Example
    ```python
    loss = criterion(output, target)  # stablint: ignore[no-such-rule]
    ```

    ## Use instead
    ```python
    loss = criterion(output, target)
    ```

    ## When to ignore it
    Where the same line is at fault only under another version of a library.

    ## Fix safety
    The fix takes out what is not needed, and the whole comment when nothing is left of it. It is safe: what
    the program does cannot depend on a comment.

    ## References
    - [ruff: unused-noqa (RUF100)](https://docs.astral.sh/ruff/rules/unused-noqa/)
    """

    code = "STB902"
    severity = Severity.WARNING
    since = "0.1.0"
    bad = ("loss = criterion(output, target)  # stablint: ignore[no-such-rule]  # flagged\n",)
    fixed = ("loss = criterion(output, target)\n",)
    good = ("loss = criterion(output, target)  # noqa: E501\n",)
