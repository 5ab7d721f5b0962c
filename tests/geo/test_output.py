from __future__ import annotations

import os
import shutil
import tempfile
import types
from pathlib import Path

import pytest
from rasterio.errors import CRSError, RasterioIOError

from segearth_ov3.errors import RasterError
from segearth_ov3.geo.output import (
    PICTURE_SUFFIXES,
    check_destination,
    disk_full_hint,
    first_cause,
    replace_when_complete,
)


def test_free_name_in_an_existing_folder_passes(tmp_path: Path) -> None:
    assert check_destination(tmp_path / "classes.TIF", tmp_path / "scene.tif") == tmp_path / "classes.TIF"


def test_check_leaves_no_trace(tmp_path: Path) -> None:
    check_destination(tmp_path / "classes.tif", tmp_path / "scene.tif")
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match=r"the folder .*nowhere does not exist; create it first"):
        check_destination(tmp_path / "nowhere" / "classes.tif", tmp_path / "scene.tif")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["scene.tif", "sub/../scene.tif", "link.tif"])
def test_source_is_never_replaced(tmp_path: Path, name: str, overwrite: bool) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "scene.tif").touch()
    (tmp_path / "link.tif").symlink_to(tmp_path / "scene.tif")
    with pytest.raises(RasterError, match="it is the source image, which is never replaced"):
        check_destination(tmp_path / name, tmp_path / "scene.tif", overwrite=overwrite)


def test_existing_file_is_refused_without_overwrite(tmp_path: Path) -> None:
    (tmp_path / "classes.tif").touch()
    with pytest.raises(RasterError, match=r"classes.tif exists; use --overwrite"):
        check_destination(tmp_path / "classes.tif", tmp_path / "scene.tif")


def test_existing_file_passes_with_overwrite(tmp_path: Path) -> None:
    (tmp_path / "classes.tif").touch()
    check_destination(tmp_path / "classes.tif", tmp_path / "scene.tif", overwrite=True)


def test_file_that_would_become_part_of_the_raster_is_refused(tmp_path: Path) -> None:
    (tmp_path / "classes.tif.msk").touch()
    with pytest.raises(RasterError, match=r"classes.tif.msk exists"):
        check_destination(tmp_path / "classes.tif", tmp_path / "scene.tif")


def test_folder_is_refused_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "classes.tif").mkdir()
    with pytest.raises(RasterError, match="it is a folder"):
        check_destination(tmp_path / "classes.tif", tmp_path / "scene.tif", overwrite=True)


@pytest.mark.parametrize("name", ["classes.png", "classes"])
def test_name_of_another_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RasterError, match=r"expected a name that ends with \.tif or \.tiff"):
        check_destination(tmp_path / name, tmp_path / "scene.tif")


def test_pictures_have_endings_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match=r"ends with \.png or \.jpg or \.jpeg"):
        check_destination(tmp_path / "overlay.tif", tmp_path / "scene.tif", suffixes=PICTURE_SUFFIXES)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(RasterError, match="no permission to write in the folder"):
        check_destination(folder / "classes.tif", tmp_path / "scene.tif")


def test_nothing_has_the_final_name_before_the_end(tmp_path: Path) -> None:
    with replace_when_complete(tmp_path / "classes.tif") as partial:
        partial.write_text("half")
        assert not (tmp_path / "classes.tif").exists()
        partial.write_text("complete")
    assert (tmp_path / "classes.tif").read_text() == "complete"
    assert [path.name for path in tmp_path.iterdir()] == ["classes.tif"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_leaves_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with replace_when_complete(tmp_path / "classes.tif") as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "classes.tif").write_text("old")
    (tmp_path / "classes.tif.aux.xml").write_text("old statistics")

    def fail() -> None:
        with replace_when_complete(tmp_path / "classes.tif") as partial:
            partial.write_text("half")
            raise RasterError("no more")

    with pytest.raises(RasterError, match="no more"):
        fail()
    assert (tmp_path / "classes.tif").read_text() == "old"
    assert (tmp_path / "classes.tif.aux.xml").exists()


def test_files_of_a_replaced_raster_go_with_it(tmp_path: Path) -> None:
    (tmp_path / "classes.tif").write_text("old")
    (tmp_path / "classes.tif.aux.xml").write_text("old statistics")
    (tmp_path / "classes.tif.ovr").write_text("old overviews")
    with replace_when_complete(tmp_path / "classes.tif") as partial:
        partial.write_text("new")
        partial.with_name("classes.tif.aux.xml").write_text("new names")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.tif", "classes.tif.aux.xml"]
    assert (tmp_path / "classes.tif.aux.xml").read_text() == "new names"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device"), "No space left on device; make room in {0} and try again"),
        (OSError(122, "Disk quota exceeded"), "Disk quota exceeded; make room in {0} and try again"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (CRSError("no such code"), "no such code"),
        (RasterioIOError("write failed: database or disk is full"), "write failed: database or disk is full; make"),
    ],
)
def test_errors_are_told_by_their_own_names(tmp_path: Path, error: Exception, told: str) -> None:
    def fail() -> None:
        with replace_when_complete(tmp_path / "classes.tif"):
            raise error

    with pytest.raises(RasterError) as caught:
        fail()
    assert str(caught.value).startswith(f"cannot write {tmp_path / 'classes.tif'}: {told.format(tmp_path)}")
    assert ("make room" in str(caught.value)) is ("make" in told)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("name", ["classes.tif", "draft-classes.tif", "store.gpkg"])
def test_messages_have_the_final_name(tmp_path: Path, name: str) -> None:
    def fail() -> None:
        with replace_when_complete(tmp_path / "classes.tif") as partial:
            raise RasterioIOError(f"{partial.with_name(name)}: TIFFAppendToStrip: Write error")

    with pytest.raises(RasterError) as caught:
        fail()
    final = tmp_path / "classes.tif"
    assert str(caught.value) == f"cannot write {final}: {final}: TIFFAppendToStrip: Write error"


def test_descriptions_of_coordinate_systems_are_left_out() -> None:
    error = CRSError("""Cannot find operations from '{ "$schema": "https://x", "base": {"type": "a"} }' to '{...}'.""")
    assert first_cause(error) == "Cannot find operations from …"
    error.__cause__ = ValueError("a\n set {1, 2}.")
    assert first_cause(error) == "a set {1, 2}"


def test_a_full_disk_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert disk_full_hint(tmp_path) == ""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=4096))
    assert disk_full_hint(tmp_path) == f"; the disk of {tmp_path} is full, make room and try again"


def test_names_that_leave_no_room_for_a_temporary_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match=r"x\.tif: File name too long"):
        check_destination(tmp_path / f"{'x' * 250}.tif", ())


def test_names_that_gdal_cannot_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match=r"\\udc80\.tif': expected a name in UTF-8; choose another name"):
        check_destination(tmp_path / "\udc80.tif", ())


def test_a_folder_that_refuses_files_is_noticed_though_its_rights_allow_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> str:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(RasterError, match=r"cannot write .*a\.tif: Read-only file system"):
        check_destination(tmp_path / "a.tif", ())
