"""Text files of users: bounded, whatever the name stands for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from segearth_ov3.cli.scenes import expand_sources
from segearth_ov3.datasets.label_values import read_entries
from segearth_ov3.errors import OptionError, RasterError, VocabularyError
from segearth_ov3.geo.color_file import read_colors
from segearth_ov3.text_files import MAX_BYTES, read_small_file
from segearth_ov3.vocabulary import Vocabulary

ENDLESS = Path("/dev/zero")


def test_largest_file_is_read_and_a_larger_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(b"a" * MAX_BYTES)
    assert len(read_small_file(path)) == MAX_BYTES
    with path.open("ab") as file:
        file.write(b"a")
    with pytest.raises(OSError, match="more than 16 MiB"):
        read_small_file(path)


@pytest.mark.skipif(not ENDLESS.exists(), reason="needs a device without an end")
@pytest.mark.parametrize(
    ("read", "error"),
    [
        (Vocabulary.from_file, VocabularyError),
        (lambda path: read_colors(path, ["road"]), OptionError),
        (read_entries, OptionError),
        (lambda path: expand_sources([str(path)]), RasterError),
    ],
    ids=["vocabulary", "colours", "label map", "list of scenes"],
)
def test_file_without_an_end_is_refused(tmp_path: Path, read: Callable[[Path], object], error: type[Exception]) -> None:
    path = tmp_path / "endless.txt"
    path.symlink_to(ENDLESS)
    with pytest.raises(error, match="more than 16 MiB"):
        read(path)
