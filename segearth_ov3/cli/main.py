"""The command `segearth-ov3`: finds its sub-commands and runs them; `process` says how it ends.

Sub-commands are imported when they are called, so that help and version need neither torch nor GDAL.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import NamedTuple

import click

from ..version import __version__
from .process import Advice, Program

RESUME_HINT = "repeat the command with --resume to continue"
MEMORY_HINTS = {
    "--classes": "fewer classes",
    "--dtype": "--dtype bfloat16",
    "--device": "--device cpu",
    "--size": "a smaller --size",
}


class _Command(NamedTuple):
    """Where a sub-command is, and what it does in one line."""

    place: str
    short_help: str


COMMANDS = {
    "demo": _Command("segearth_ov3.cli.demo:demo", "Segment a generated scene with the small model inside."),
    "segment": _Command("segearth_ov3.cli.segment:segment", "Label every pixel of a GeoTIFF with a class."),
    "polygonize": _Command("segearth_ov3.cli.polygonize:polygonize", "Turn a label raster into polygons for GIS."),
    "refiners": _Command("segearth_ov3.cli.refiners:refiners", "List token refiners, their parameters and defaults."),
    "evaluate": _Command("segearth_ov3.cli.evaluate:evaluate", "Measure segmentation on your own images and labels."),
    "datasets": _Command("segearth_ov3.cli.datasets:datasets", "List benchmark sets: found or not, where to get them."),
    "checkpoint": _Command("segearth_ov3.cli.checkpoint:checkpoint", "Inspect, verify, convert or download weights."),
}


class LazyGroup(Program, click.Group):
    """A group that knows its commands by name and imports them when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, in the order of their use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.short_help) for name, command in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; an unknown one is answered with the closest."""
        close = difflib.get_close_matches(args[0], COMMANDS, n=1)
        if close and args[0] not in COMMANDS:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)

    def advice(self, ctx: click.Context) -> Advice:
        """What the options of the command that was called can do."""
        if ctx.invoked_subcommand is None:  # importing it failed
            return Advice()
        module, _, attribute = COMMANDS[ctx.invoked_subcommand].place.partition(":")
        command: click.Command = getattr(sys.modules[module], attribute)
        options = {name for param in command.params for name in param.opts}
        hints = [hint for option, hint in MEMORY_HINTS.items() if option in options]
        return Advice(RESUME_HINT if "--resume" in options else "", f"use {' or '.join(hints)}" if hints else "")


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="segearth-ov3")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Label remote-sensing images with classes given in words, by SAM 3, without training.

    \b
    Examples:
      segearth-ov3 demo
      segearth-ov3 segment scene.tif classes.tif --classes "building,house; road; water; tree" --background none
    """
