"""The command `segearth-ov3`: finds its sub-commands, and turns errors and warnings into single lines.

Sub-commands are imported when they are called, so that help and version need neither torch nor GDAL.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any, NamedTuple, TextIO

import click

from ..errors import SegEarthError, SegEarthWarning
from ..version import __version__

OUT_OF_MEMORY = "out of memory; use fewer classes, --dtype bfloat16 or --device cpu, or cut the scene into parts"
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class _Command(NamedTuple):
    """Where a sub-command is, and what it does in one line."""

    place: str
    short_help: str


COMMANDS = {
    "demo": _Command("segearth_ov3.cli.demo:demo", "Segment a generated scene with the small model inside."),
    "segment": _Command("segearth_ov3.cli.segment:segment", "Label every pixel of a GeoTIFF with a class."),
    "polygonize": _Command("segearth_ov3.cli.polygonize:polygonize", "Turn a label raster into polygons for GIS."),
    "datasets": _Command("segearth_ov3.cli.datasets:datasets", "List benchmark sets: found or not, where to get them."),
    "checkpoint": _Command("segearth_ov3.cli.checkpoint:checkpoint", "Inspect, verify, convert or download weights."),
}


class LazyGroup(click.Group):
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

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what the user can cause becomes one line on standard error."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", SegEarthWarning)
            warnings.showwarning = _warning_printer(warnings.showwarning)
            try:
                return super().invoke(ctx)
            except SegEarthError as error:
                if ctx.params["debug"]:
                    raise
                raise click.ClickException(" ".join(str(error).split())) from error
            except (MemoryError, RuntimeError) as error:
                if ctx.params["debug"] or not is_out_of_memory(error):
                    raise
                raise click.ClickException(OUT_OF_MEMORY) from error
            except KeyboardInterrupt:
                if ctx.params["debug"]:
                    raise
                click.echo("Interrupted.", err=True)
                ctx.exit(EXIT_INTERRUPTED)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="segearth-ov3")
@click.option("--debug", is_flag=True, help="Show where an error came from.")
def main(debug: bool) -> None:
    """Label remote-sensing images with classes given in words, by SAM 3, without training.

    \b
    Examples:
      segearth-ov3 demo
      segearth-ov3 segment scene.tif classes.tif --classes "background; building,house; road; water"
    """


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; PyTorch says so by several kinds of RuntimeError."""
    return isinstance(error, MemoryError) or any(
        phrase in str(error) for phrase in ("out of memory", "can't allocate memory", "not enough memory")
    )


def _warning_printer(fallback: Any) -> Any:
    """A replacement for `warnings.showwarning` that prints this package's warnings as one line."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, SegEarthWarning):
            click.echo(f"Warning: {' '.join(str(message).split())}", err=True)
        else:
            fallback(message, category, filename, lineno, file, line)

    return show
