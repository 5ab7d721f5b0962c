"""`prepare.py`: wrong and incomplete downloads, second runs, dry runs, and files that do not fit."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_pixels import picture, write
from one_line_errors import error_of
from PIL import Image
from prepare_data import command
from prepare_data.command import RECIPES, main
from prepare_data.pixels import UNDOCUMENTED

from segearth_ov3.datasets import SPECS

ROOT = Path(__file__).resolve().parents[2]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", RECIPES)
def test_layout_of_the_download_is_shown(name, capsys):
    assert main([name, "--layout"]) == 0
    text = capsys.readouterr().out
    assert SPECS[name].homepage in text
    assert SPECS[name].licence in text
    assert "/" in text.split("licence:")[1]


@pytest.mark.parametrize("name", RECIPES)
def test_empty_download_names_what_is_missing(name, prepare, tmp_path):
    (tmp_path / "download").mkdir()
    assert str(tmp_path / "download") in error_of(prepare(name))
    assert not (tmp_path / "data").exists()


def test_missing_source_folder_is_named(prepare, tmp_path):
    assert f"no such folder: {tmp_path / 'download'}" in error_of(prepare("potsdam"))


def test_source_must_be_given(capsys):
    assert main(["potsdam"]) == 1
    assert "--src" in capsys.readouterr().err


def test_unknown_set_lists_the_known(capsys):
    assert main(["potsdm", "--src", "."]) == 1
    assert "did you mean 'potsdam'?" in capsys.readouterr().err


def test_half_unpacked_download_names_folders_and_archive(download, prepare):
    source = download("loveda")
    shutil.rmtree(source / "Val" / "Urban")
    (source / "Urban.zip").touch()
    error = error_of(prepare("loveda", partial=False))
    assert f"no Val/Urban/images_png and no Val/Urban/masks_png in {source}" in error
    assert "unpack Urban.zip" in error


@pytest.mark.parametrize(
    ("name", "missing", "images"), [("loveda", "Val/Rural", 1), ("dubai", "Semantic segmentation dataset/Tile 1", 2)]
)
def test_part_of_a_set_is_prepared_without_the_other_parts(download, prepare, name, missing, images):
    shutil.rmtree(download(name) / missing)
    code, out, _ = prepare(name)
    assert code == 0
    assert out.startswith(f"{images} written")


def test_archive_that_is_not_unpacked_is_named(prepare, tmp_path):
    (tmp_path / "download").mkdir()
    (tmp_path / "download" / "Val.zip").touch()
    assert "unpack Val.zip" in error_of(prepare("loveda"))


def test_missing_tiles_of_a_split_are_named(download, prepare):
    download("potsdam")
    error = error_of(prepare("potsdam", partial=False))
    assert "13 of 14 images are missing" in error
    assert "5_15, 6_15, 6_13, ..." in error


def test_image_without_label_is_named(download, prepare):
    (download("chn6_cug") / "CHN6-CUG/val/gt/101_mask.png").unlink()
    assert "1 of 2 labels are missing" in error_of(prepare("chn6_cug", partial=False))


def test_label_without_image_is_named(download, prepare):
    (download("chn6_cug") / "CHN6-CUG/val/images/102_sat.jpg").unlink()
    assert "1 labels in" in error_of(prepare("chn6_cug", partial=False))
    assert prepare("chn6_cug")[0] == 0


def test_other_number_of_images_than_known_is_an_error_unless_a_part_will_do(download, prepare, tmp_path):
    download("loveda")
    error = error_of(prepare("loveda", partial=False))
    assert "expected 1669 images, found 2" in error
    assert "--partial" in error
    assert not (tmp_path / "data").exists()
    assert "2 images; all of LoveDA (val) are 1669" in prepare("loveda")[2]


def test_number_that_is_not_certain_gives_a_note_only(download, prepare):
    download("vdd")
    code, _, err = prepare("vdd", partial=False)
    assert code == 0
    assert "2 images; all of VDD (test) are about 80" in err


def test_dry_run_says_what_would_be_written_and_writes_nothing(download, prepare, tmp_path):
    download("isaid")
    code, out, _ = prepare("isaid", "--dry-run")
    assert code == 0
    assert "2 images in the download give 3 of iSAID (val); 0 are there, 3 would be written" in out
    assert "P0003_0_896_0_896_instance_color_RGB.png" in out
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["potsdam", "wbs_si", "vdd", "context59", "levir_cd"])
def test_second_run_writes_nothing_and_changes_nothing(download, prepare, tmp_path, name):
    download(name)
    prepare(name)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.*") if path.suffix != ".txt"}
    contents = files_of(tmp_path / "data")
    code, out, _ = prepare(name)
    assert code == 0
    assert out.startswith("0 written, ")
    assert files_of(tmp_path / "data") == contents
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_interrupted_run_goes_on_where_it_stopped(download, prepare, tmp_path):
    download("potsdam")
    prepare("potsdam")
    contents = files_of(tmp_path / "data")
    label = next((tmp_path / "data/Potsdam/ann_dir/val").iterdir())
    label.unlink()
    assert prepare("potsdam")[1].startswith("1 written, 1 were there")
    assert files_of(tmp_path / "data") == contents


def test_overwrite_writes_files_again(download, prepare, tmp_path):
    download("potsdam")
    prepare("potsdam")
    label = next((tmp_path / "data/Potsdam/ann_dir/val").iterdir())
    right = label.read_bytes()
    label.write_bytes(b"")
    assert prepare("potsdam", "--overwrite")[1].startswith("2 written")
    assert label.read_bytes() == right


def test_failed_file_leaves_nothing_half_written(download, prepare, tmp_path):
    source = download("chn6_cug") / "CHN6-CUG/val/gt/101_mask.png"
    source.write_bytes(source.read_bytes()[:40])
    assert "101_mask.png" in error_of(prepare("chn6_cug"))
    assert not [path for path in (tmp_path / "data").rglob("*") if "partial" in path.name]
    assert not (tmp_path / "data/CHN6-CUG/val/label_cvt/101.png").exists()


def test_number_of_threads_does_not_change_the_result(download, prepare, tmp_path):
    download("isaid")
    prepare("isaid", "--workers", "1")
    alone = files_of(tmp_path / "data")
    shutil.rmtree(tmp_path / "data")
    prepare("isaid", "--workers", "3")
    assert files_of(tmp_path / "data") == alone


def test_set_may_be_prepared_in_the_folder_of_its_download(download, tmp_path, capsys):
    source = download("s2looking")
    image = source / "S2Looking/test/Image1/1.png"
    before = image.read_bytes()
    assert main(["s2looking", "--src", str(source), "--out", str(source)]) == 0
    assert image.read_bytes() == before
    assert (source / "S2Looking/test/label_cvt/1.png").is_file()


def test_whole_images_take_no_more_space(download, prepare, tmp_path):
    source = download("vdd") / "VDD/test/src/DJI_0001.JPG"
    prepare("vdd")
    assert (tmp_path / "data/VDD/test/src/DJI_0001.JPG").samefile(source)


def test_images_are_copied_where_a_second_name_is_not_possible(download, prepare, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    source = download("vdd") / "VDD/test/src/DJI_0001.JPG"
    monkeypatch.setattr("prepare_data.converting.os.link", refuse)
    prepare("vdd")
    target = tmp_path / "data/VDD/test/src/DJI_0001.JPG"
    assert target.read_bytes() == source.read_bytes()
    assert not target.samefile(source)


def test_image_and_label_of_different_size_are_named(download, prepare):
    write(download("chn6_cug") / "CHN6-CUG/val/gt/101_mask.png", np.zeros((5, 6), dtype=np.uint8))
    error = error_of(prepare("chn6_cug"))
    assert "101_sat.jpg" in error
    assert "(36, 44)" in error
    assert "(5, 6)" in error


def test_undocumented_colours_are_counted(download, prepare):
    path = download("potsdam") / "5_Labels_all_noBoundary/top_potsdam_2_13_label_noBoundary.tif"
    colors = np.array(Image.open(path))
    colors[5, :3] = (1, 2, 3)
    write(path, colors)
    assert f"3 {UNDOCUMENTED}" in prepare("potsdam")[2]


def test_gid_with_three_bands_is_refused(download, prepare):
    name = "GF2_PMS1__L1A0001064454-MSS1"
    write(download("gid") / f"Image__8bit_NirRGB/{name}.tif", picture(name, (1024, 1030)))
    assert "expected 4 bands of 8 bit (near infrared, R, G, B), got 3 uint8" in error_of(prepare("gid"))


def test_images_smaller_than_a_crop_are_refused(download, prepare):
    folder = download("inria") / "AerialImageDataset/train"
    for kind in ("images", "gt"):
        write(folder / kind / "austin1.tif", np.zeros((900, 1000), dtype=np.uint8))
    assert "austin1.tif: an image side of 900 pixels is less than a crop's 1000" in error_of(prepare("inria"))


def test_folder_that_cannot_be_written_is_one_line(download, prepare, tmp_path):
    download("vdd")
    (tmp_path / "data").write_text("a file")
    assert str(tmp_path / "data") in error_of(prepare("vdd"))


@pytest.mark.parametrize(("name", "count"), [("gid_test", 30), ("inria_test", 27), ("potsdam_val", 14)])
def test_splits_have_the_known_number_of_names(name, count):
    lines = (ROOT / f"tools/prepare_data/splits/{name}.txt").read_text().split()
    assert len(set(lines)) == len(lines) == count


@pytest.mark.parametrize("path", sorted((ROOT / "tools/prepare_data/splits").glob("*.txt")), ids=lambda path: path.stem)
def test_splits_are_the_published_ones(path, shared_dir):
    assert path.read_bytes() == (shared_dir / "splits" / path.name).read_bytes()


def test_script_runs_from_any_folder(download, tmp_path):
    script = ROOT / "tools/prepare_data/prepare.py"
    arguments = ["s2looking", "--src", str(download("s2looking")), "--dry-run"]
    result = subprocess.run([sys.executable, script, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "2 images in the download give 2 of S2Looking (test)" in result.stdout


def test_help_lists_every_set_and_examples(capsys):
    with pytest.raises(SystemExit):
        command.parse_arguments(["--help"])
    text = capsys.readouterr().out
    assert "examples:" in text
    assert all(name in text for name in RECIPES)
