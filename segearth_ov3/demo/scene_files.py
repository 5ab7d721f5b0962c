"""Scenes as GeoTIFF: an RGB image and a label raster with colours and class names, both with overviews."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import complete_or_absent
from ..errors import RasterError
from ..version import DEMO_SOFTWARE
from .materials import SCENE_CLASSES, SCENE_COLORS

if TYPE_CHECKING:
    from .scenes import Scene

DEFAULT_CRS = "EPSG:32633"
DEFAULT_ORIGIN_XY = (400_000.0, 5_800_000.0)


def write_scene(
    scene: Scene,
    image_path: str | Path,
    labels_path: str | Path,
    *,
    crs: str = DEFAULT_CRS,
    origin_xy: tuple[float, float] = DEFAULT_ORIGIN_XY,
    overwrite: bool = False,
) -> None:
    """Write image and labels as tiled, compressed GeoTIFF; a file has its name only once it is complete.

    Args:
        scene: The scene.
        image_path: Where the image goes, in an existing folder.
        labels_path: Where the labels go, in an existing folder. Tags CLASS_0, CLASS_1, ... hold the names.
        crs: Coordinate reference system in metres.
        origin_xy: Map coordinates of the upper left corner.
        overwrite: Whether existing files may be replaced.

    Raises:
        RasterError: A folder is missing, a file exists and may not be replaced, or cannot be written.
    """
    image_path, labels_path = Path(image_path), Path(labels_path)
    for path in (image_path, labels_path):
        if not path.parent.is_dir():
            raise RasterError(f"cannot write {path}: the folder {path.parent} does not exist; create it first")
        if path.exists() and not overwrite:
            raise RasterError(f"{path} exists; choose another name or pass overwrite=True")
    names = {f"CLASS_{index}": name for index, name in enumerate(SCENE_CLASSES)}

    def fill_image(raster: Any) -> None:
        raster.write(scene.image.transpose(2, 0, 1))  # (3, H0, W0)

    def fill_labels(raster: Any) -> None:
        raster.write(scene.labels, 1)
        raster.write_colormap(1, {index: (*rgb, 255) for index, rgb in enumerate(SCENE_COLORS)})
        raster.update_tags(**names)

    profile = _profile(scene, crs, origin_xy)
    _write(image_path, {**profile, "count": 3, "photometric": "RGB"}, fill_image, "average")
    _write(labels_path, {**profile, "count": 1}, fill_labels, "nearest")


def _profile(scene: Scene, crs: str, origin_xy: tuple[float, float]) -> dict[str, Any]:
    """Creation options that both rasters share."""
    from rasterio import Affine

    height, width = scene.labels.shape
    return {
        "driver": "GTiff",
        "dtype": "uint8",
        "height": height,
        "width": width,
        "crs": crs,
        "transform": Affine(scene.res_m, 0.0, origin_xy[0], 0.0, -scene.res_m, origin_xy[1]),
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "predictor": 1,
    }


def _write(path: Path, profile: dict[str, Any], fill: Callable[[Any], None], resampling: str) -> None:
    """Write a raster with overviews in a temporary folder beside the target, then give it its name in one step."""
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.errors import CRSError, RasterioError

    shorter = min(profile["height"], profile["width"])
    factors = [2**level for level in range(1, 8) if shorter >= 2**level * 64]
    try:
        with complete_or_absent(path) as partial, rasterio.open(partial, "w", **profile) as raster:
            raster.update_tags(TIFFTAG_SOFTWARE=DEMO_SOFTWARE)
            fill(raster)
            if factors:
                raster.build_overviews(factors, Resampling[resampling])
    except (OSError, RasterioError, CRSError) as error:
        raise RasterError(f"cannot write {path}: {error}") from error
