"""The `stablint` command, and `python -m stablint`."""

# Nothing else is imported until the current folder is out of the way; these two are there from the start.
import os
import sys


def main() -> int:
    """Run the command line and return the exit status."""
    leave_current_folder()
    if sys.argv[1:] in (["--version"], ["-V"]):
        import stablint

        print(f"stablint {stablint.__version__}")
        return 0
    from stablint.cli.app import run

    return run(sys.argv[1:])


def leave_current_folder() -> None:
    """Import nothing from the current folder: what stands there is the code to check, and it may be hostile.

    It is in `sys.path` under `python -m`, and through an empty entry of PYTHONPATH.  Only what stands before
    the standard library is taken out: the folder may also be there because stablint is installed from it.
    """
    try:
        here = os.path.realpath(os.getcwd())
    except OSError:  # it was deleted, so nothing can be imported from it
        return
    library = os.path.dirname(os.__file__)
    first = sys.path.index(library) if library in sys.path else len(sys.path)
    sys.path[:first] = [entry for entry in sys.path[:first] if os.path.realpath(entry) != here]


if __name__ == "__main__":
    sys.exit(main())
