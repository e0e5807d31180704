"""STB909 internal-error."""

from stablint.finding import Severity
from stablint.rule import Rule


class InternalError(Rule):
    """A rule of stablint's crashed on a file.

    ## What it does
    Names a rule that failed and the exception. The other rules' findings for the file, and all other files,
    are complete; the exit status is 3.

    ## Why it is bad
    It is a fault of stablint's, or of the rule pack that the rule is from: whatever the rule would have found
    in this file was not found.

    ## Example
    ```text
    train.py:1:1: STB909 log-of-softmax failed: KeyError: 'dim'
    ```

    ## Use instead
    Report it together with the file, or the smallest part of it on which the rule still fails. Until it is
    mended, leave the rule out for that file: `per-file-ignores`.

    ## When to ignore it
    It cannot be ignored by a comment.

    ## Fix safety
    There is no fix.

    ## References
    - `rules/README.md`: how to add a rule, and how to test it
    """

    code = "STB909"
    severity = Severity.ERROR
    since = "0.1.0"
    bad = ()
    good = ()
