"""Put what a tool has printed into a page, between markers, so that its tables are generated and never typed.

    <!-- table NAME -->
    what stands here is replaced
    <!-- end NAME -->

    python tools/fill_table.py docs/refiners.md dubai-7 table/ablation.md
    python tools/fill_table.py docs/refiners.md dubai-7-tokens table/ablation.md --section Tokens
    python benchmarks/refiners.py | python tools/fill_table.py docs/refiners.md cost -

Equal files fill equally, however often.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

import click

from segearth_ov3.atomic import complete_or_absent
from segearth_ov3.cli.process import Program
from segearth_ov3.errors import OptionError


def fill(page: str, name: str, text: str) -> str:
    """Replace what stands between the markers of a name.

    Args:
        page: Markdown with the pair of markers once, each on a line of its own.
        name: Of the table; no white space.
        text: What is to stand there, Markdown.

    Returns:
        The page, otherwise as it was.

    Raises:
        OptionError: The pair is not there exactly once, or the text is empty or holds a marker itself.
    """
    names = re.findall(r"^<!-- table (\S+) -->$", page, re.MULTILINE)
    start, end = f"<!-- table {name} -->", f"<!-- end {name} -->"
    pairs = re.findall(rf"^{re.escape(start)}\n(.*?)^{re.escape(end)}$", page, re.DOTALL | re.MULTILINE)
    if not (len(pairs) == names.count(name) == page.count(end) == 1) or "<!-- table " in pairs[0]:
        known = ", ".join(names) or "none"
        raise OptionError(f"expected the lines {start} and {end} once each, in this order; tables of the page: {known}")
    if not text.strip() or re.search(r"^<!-- (table|end) ", text, re.MULTILINE):
        raise OptionError(f"expected Markdown without markers for {name}, got {text.strip()[:40]!r}")
    before, _, rest = page.partition(f"{start}\n")
    return f"{before}{start}\n\n{text.strip()}\n\n{end}{rest.partition(end)[2]}"


def section(text: str, heading: str = "") -> str:
    """What stands under a heading, up to the next one; the heading is left out.

    Args:
        text: Markdown.
        heading: How its words begin; empty takes what comes first, under a heading or not.

    Returns:
        The section.

    Raises:
        OptionError: No heading begins so; the message lists them. Or there is nothing.
    """
    if not text.strip():
        raise OptionError("expected Markdown, got nothing; what was to print it may have failed")
    first, *others = re.split(r"^#+ +(.*)\n", text, flags=re.MULTILINE)
    sections = [("", first), *zip(others[::2], others[1::2])]
    for title, body in sections:
        if title.startswith(heading) and body.strip():
            return body
    titles = ", ".join(repr(title) for title, _ in sections if title)
    raise OptionError(f"no section that begins with {heading!r}; there: {titles or 'no heading'}")


@click.command(cls=Program, help=__doc__.split("\n", 1)[0])
@click.argument("page", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("name")
@click.argument("printed", type=click.File(encoding="utf-8"))
@click.option("--section", "heading", default="", metavar="WORDS", help="Heading in PRINTED.  [default: the first]")
@click.option("--whole", is_flag=True, help="All of PRINTED, headings included.")
def main(page: Path, name: str, printed: IO[str], heading: str, whole: bool) -> None:
    text = printed.read()
    filled = fill(page.read_text(encoding="utf-8"), name, text if whole else section(text, heading))
    with complete_or_absent(page) as partial:
        partial.write_text(filled, encoding="utf-8")
    click.echo(f"{name} in {page}", err=True)


if __name__ == "__main__":
    main()
