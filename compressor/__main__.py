"""`python -m compressor` and the `compressor` command: ready for a signal before anything loads."""

from __future__ import annotations

import sys

from compressor import stopping


def main() -> None:
    """Run the command line and exit with its code, whenever a signal comes."""
    stopping.open_missing_streams()
    try:
        stopping.listen()
        from compressor.cli import ended, prepare

        prepare()
        code = ended(sys.argv[1:])
    except stopping.Stopped as stop:
        stopping.say()
        code = stop.exit_code
    stopping.ignore()
    sys.exit(code)


if __name__ == "__main__":
    main()
