"""`python -m segearth_ov3` is the command `segearth-ov3`."""

from .cli.main import main

main(prog_name="segearth-ov3")
