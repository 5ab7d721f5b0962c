"""What docs/evaluation says about downloads and folders, tried with the fakes: prepare, then all checks of a run."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prepare_data.command import RECIPES

import segearth_ov3.mmseg_plugin  # noqa: F401  (registers the classes)
from segearth_ov3.datasets import SPECS
from segearth_ov3.errors import DatasetError
from segearth_ov3.metrics.confusion import NO_CLASS
from segearth_ov3.mmseg_plugin.configuration import check_before_loading, load_config

pytestmark = [
    pytest.mark.mmseg,
    pytest.mark.filterwarnings("ignore::segearth_ov3.errors.DatasetWarning"),  # sets of few images lack classes
]

ROOT = Path(__file__).resolve().parents[2]
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs/evaluation").glob("*.md")}
TEXT = "\n".join(PAGES.values())
COMMANDS = re.findall(r"^ {4,6}(python tools/.*)$", re.sub(r" \\\n +", " ", TEXT), re.MULTILINE)
PREPARED = [shlex.split(line)[2:] for line in COMMANDS if "prepare.py" in line]
OWN_FOLDERS = [shlex.split(line)[2:] for line in COMMANDS if "seg_map_path=" in line]


def check(name: str, root: Path, *options: str) -> int:
    """Check a set as an evaluation does before it loads weights; returns the number of images."""
    config = load_config(ROOT / f"configs/segearth-ov3_{name}.py", options, checkpoint="demo", data_root=str(root))
    return len(check_before_loading(config).dataset)


@pytest.mark.parametrize("arguments", PREPARED, ids=" ".join)
def test_prepare_commands_of_the_pages_lead_to_an_evaluation(download, prepare, tmp_path, arguments):
    name = arguments[0]
    download(name)
    published = [option for option in arguments if option == "--published"]
    assert prepare(name, *published)[0] == 0
    if SPECS[name].group == "change":
        return
    (configured,) = {SPECS[name].root}
    first, *rest = Path(configured).parts
    assert check(name, tmp_path / "data" / Path(f"{first}-published" if published else first, *rest)) > 0


def test_root_of_the_published_masks_of_water_is_the_one_named(download, prepare, tmp_path):
    (root,) = re.findall(r"`--data-root (\S+-published/\S+)`", PAGES["extraction"])
    download("wbs_si")
    prepare("wbs_si", "--published")
    assert check("wbs_si", tmp_path / root) == 2


def test_published_masks_of_water_may_have_pixels_of_no_class_and_others_may_not(download, prepare, tmp_path):
    download("wbs_si")
    prepare("wbs_si", "--published")
    root = tmp_path / "data" / Path(SPECS["wbs_si"].root.replace("/", "-published/", 1))
    path = sorted((root / "Masks_binary").iterdir())[0]
    labels = np.asarray(Image.open(path)).copy()
    labels[:4] = NO_CLASS
    Image.fromarray(labels).save(path)
    assert check("wbs_si", root) == 2
    labels[:4] = 2
    Image.fromarray(labels).save(path)
    with pytest.raises(DatasetError, match=r"values \[2\] are no class"):
        check("wbs_si", root)


@pytest.mark.parametrize("arguments", OWN_FOLDERS, ids=lambda arguments: Path(arguments[0]).stem)
def test_labels_of_0_and_1_are_read_from_the_folders_of_segearth_ov(download, prepare, tmp_path, arguments):
    name = Path(arguments[0]).stem.removeprefix("segearth-ov3_")
    download(name)
    prepare(name)
    root = tmp_path / "data" / SPECS[name].root
    folder = arguments[-1].rpartition("=")[2]
    shutil.move(root / SPECS[name].label_dir, root / folder)
    assert check(name, root, arguments[-1]) > 0


def test_masks_of_water_stored_as_jpeg_cannot_take_the_place_of_ours(download, prepare, tmp_path):
    """The page says so: the names end with .jpg."""
    assert "cannot be read in the place of `Masks_binary`" in " ".join(PAGES["extraction"].split())
    download("wbs_si")
    prepare("wbs_si")
    root = tmp_path / "data" / SPECS["wbs_si"].root
    shutil.copytree(tmp_path / "download" / SPECS["wbs_si"].root / "Masks", root / "Masks_cvt")
    with pytest.raises(DatasetError, match="2 of 2 label files are missing"):
        check("wbs_si", root, "test_dataloader.dataset.data_prefix.seg_map_path=Masks_cvt")


@pytest.mark.parametrize(("one", "other"), [("voc20", "voc21"), ("voc21", "voc20"), ("context59", "context60")])
def test_sets_that_share_their_files_are_prepared_once(download, prepare, tmp_path, one, other):
    assert "share their files" in PAGES["general"]
    download(one)
    prepare(one)
    assert check(other, tmp_path / "data" / SPECS[other].root) == check(one, tmp_path / "data" / SPECS[one].root) > 0


def test_sets_with_a_published_way_are_those_of_the_pages():
    named = set(re.findall(r"`(\w+) --published`", TEXT)) | {args[0] for args in PREPARED if "--published" in args}
    assert named <= {name for name, recipe in RECIPES.items() if recipe.published}
