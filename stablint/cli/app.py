"""The command with its subcommands, and what each kind of failure means."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import rich_click as click
from click.exceptions import Abort, ClickException

from stablint import __version__
from stablint.cli.check import check
from stablint.cli.rule import rule
from stablint.cli.status import Status
from stablint.cli.terminal import complain, never_fail_to_print
from stablint.errors import UsageError
from stablint.typo import did_you_mean


class Cli(click.RichGroup):
    """A group that says what to type when the subcommand is missing or mistyped."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the subcommand, or raise UsageError with a guess."""
        word = args[0]
        if word.startswith("-") or word in self.commands:
            return super().resolve_command(ctx, args)
        if os.path.lexists(word):
            raise UsageError(f'"{word}" is a path, not a command; to check it: stablint check {word}')
        guess = did_you_mean(word, self.commands) or "; to check a path: stablint check PATH"
        raise UsageError(f'no command is called "{word}"{guess}')

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; a reader of our output that has seen enough is no failure of ours."""
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Nor may anything be flushed into the closed pipe when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Status.BROKEN_PIPE
        return status


@click.group(
    cls=Cli,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    commands=[check, rule],
)
@click.version_option(__version__, "-V", "--version", message="stablint %(version)s")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Tell whether PyTorch training will be numerically stable, before the GPU hours are spent."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(argv: Sequence[str]) -> int:
    """Run the command line and return the exit status; nothing that happens ends in a traceback unasked."""
    never_fail_to_print()
    try:
        status = app.main(list(argv), prog_name="stablint", standalone_mode=False)
        return int(status or Status.CLEAN)
    except (KeyboardInterrupt, Abort):
        return Status.INTERRUPTED
    except (UsageError, ClickException) as error:
        complain("error", error.format_message() if isinstance(error, ClickException) else str(error))
        return Status.MISTAKE
    except Exception as error:
        return _internal_error(error, verbose=_is_verbose(argv))


def _internal_error(error: Exception, *, verbose: bool) -> Status:
    if verbose:
        import traceback

        traceback.print_exception(error)
    hint = "" if verbose else " (-v shows where)"
    complain("internal error", f"{type(error).__name__}: {error}; please report it{hint}")
    return Status.BUG


def _is_verbose(argv: Sequence[str]) -> bool:
    return "--verbose" in argv or any(each.startswith("-v") for each in argv)
