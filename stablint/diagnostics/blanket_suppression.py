"""STB903 blanket-suppression."""

from stablint.finding import Severity
from stablint.rule import Rule


class BlanketSuppression(Rule):
    """A suppression comment names no rule.

    ## What it does
    Reports `# stablint: ignore`, `disable` and `file-ignore` without a rule in brackets. The comment is
    honoured all the same. A bare `# noqa` is honoured and never reported: it is written for every linter at
    once.

    ## Why it is bad
    It hides the finding that it was written for and every other one that this line will ever have.

    ## Example
    ```python
    scale = 1.0  # stablint: ignore
    ```

    ## Use instead
    ```python
    scale = 1.0  # stablint: ignore[log-of-softmax] the logits are clamped above
    ```

    ## When to ignore it
    In generated files.

    ## Fix safety
    There is no fix: only the author knows which rule was meant.

    ## References
    - [ruff: blanket-noqa (PGH004)](https://docs.astral.sh/ruff/rules/blanket-noqa/)
    """

    code = "STB903"
    severity = Severity.NOTE
    since = "0.1.0"
    bad = ("scale = 1.0  # stablint: ignore  # flagged\n",)
    good = ("scale = 1.0  # noqa\n",)
