"""`python -m segearth_ov3` and the installed script are the command `segearth-ov3`."""

import sys


def run() -> None:
    """Run the command; an interruption while it is imported ends it without a traceback."""
    try:
        from .cli.main import main
    except KeyboardInterrupt:
        sys.exit(130)
    main(prog_name="segearth-ov3")


if __name__ == "__main__":
    run()
