"""The plan of a scene: tables of objects in metres, collected block by block, rendered later window by window."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .fields import Field
from .stamps import RECT
from .style import Style

Edge = NDArray | float

# roofs
FLAT, GABLE, HIP = range(3)
# trees
BROADLEAF, CONIFER, PALM, SHRUB = range(4)
# roads, in the order in which one crosses over another
LANE, LOCAL, MAIN, TRUNK = range(4)


def _table(columns: str) -> np.dtype:
    """Structured type from names with types, "name:type"; f4 where none is given."""
    pairs = (column.partition(":") for column in columns.split())
    return np.dtype([(name, kind or "f4") for name, _, kind in pairs])


TABLES: dict[str, np.dtype] = {
    # ground patches whose outline follows the streets, in street coordinates (see Lattice)
    "areas": _table("u0 u1 v0 v1 ground:u1 tone:i2 field:i4"),
    # rows of crops; x, y, angle place them
    "fields": _table("x y angle period_m contrast tracks rgb:3f4 row_rgb:3f4"),
    # pieces of road; along_m counts from the road's start to the piece's centre
    "roads": _table(f"{RECT} along_m kind:u1 pavement_m"),
    # crossings of two roads, without markings
    "nodes": _table(RECT),
    # round places: asphalt of `radius`, with an island in the middle of roundabouts
    "circles": _table("x y radius island_m"),
    # straight ground patches: drives, terraces, tracks
    "patches": _table(f"{RECT} ground:u1 tone:i2"),
    # painted lines; stripes_m is the period of a zebra crossing across the rectangle, 0 for a full line
    "marks": _table(f"{RECT} strength stripes_m"),
    "pools": _table(f"{RECT} round_share rgb:3f4"),
    # wings of buildings; those of one house share `house`
    "wings": _table(f"{RECT} eave_m rise_m roof:u1 covering:u1 rgb:3f4 house:i4"),
    # plant and stairs on roofs, walls and things on the ground; they carry the label of what they stand on
    "boxes": _table(f"{RECT} top_m rgb:3f4"),
    "cars": _table(f"{RECT} top_m rgb:3f4"),
    "trees": _table("x y radius top_m rgb:3f4 kind:u1"),
}


def rows(name: str, **columns: object) -> NDArray:
    """A table of TABLES from columns that broadcast to its length; all columns must be given.

    Args:
        name: Key of `TABLES`.
        **columns: One value or array (N,) for each column; colours (N, 3) or (3,).

    Returns:
        Structured array (N,).

    Raises:
        KeyError: Columns and table do not match.
    """
    dtype = TABLES[name]
    if dtype.names is None or set(columns) != set(dtype.names):
        raise KeyError(f"table {name!r} has the columns {dtype.names}, got {sorted(columns)}")
    arrays = {key: np.asarray(value) for key, value in columns.items()}
    count = np.broadcast_shapes(*(a.shape[: a.ndim - len(dtype[key].shape)] for key, a in arrays.items()), (1,))
    table = np.empty(count, dtype)
    for key, array in arrays.items():
        table[key] = array
    return table


@dataclass(frozen=True)
class Plan:
    """Everything that is needed to render any window of a scene.

    Attributes:
        size: Height and width in pixels.
        res_m: Metres per pixel.
        seed: Seed of textures and noise.
        style: Climate, sun and camera.
        tables: Tables of `TABLES` in scene coordinates; wings are sorted by house.
        outlines: Polygons of the areas (N, V, 2) as x, y in metres.
        outline_bounds: Their least and greatest x, y (N, 4) as x0, y0, x1, y1.
        water: Distance to the shore in metres, negative in the water.
        textures: Fields of 45, 9 and 2.2 m, a second one of 45 m, and one of 0.9 m.
    """

    size: tuple[int, int]
    res_m: float
    seed: int
    style: Style
    tables: dict[str, NDArray]
    outlines: NDArray[np.float32]
    outline_bounds: NDArray[np.float32]
    water: Field
    textures: tuple[Field, ...]


class Sketch:
    """Collects the tables of the blocks; each block is drawn in its own frame (a, b).

    a runs along the block's longer side from 0 to `length_m`, b across from 0 to `breadth_m`:

        b ^   +--------------------------+
          |   |          block           |   breadth_m
          0   +--------------------------+
              0 --> a      length_m
    """

    def __init__(self) -> None:
        """Start without any objects."""
        self.parts: dict[str, list[NDArray]] = defaultdict(list)
        self.houses = 0
        self.field_count = 0
        self.length_m = self.breadth_m = 0.0
        self._corner = (0.0, 0.0)
        self._turned = False

    def begin(self, u0: float, u1: float, v0: float, v1: float) -> None:
        """Draw from now on in the frame of the block [u0, u1] x [v0, v1]."""
        self._turned = v1 - v0 > u1 - u0
        self.length_m, self.breadth_m = max(u1 - u0, v1 - v0), min(u1 - u0, v1 - v0)
        self._corner = (u1, v0) if self._turned else (u0, v0)

    def add(self, name: str, **columns: object) -> NDArray:
        """Add rows in the block's frame; returns them, still in that frame."""
        table = rows(name, **columns)
        placed = table.copy()
        if self._turned:  # (a, b) turned by 90 degrees
            placed["x"], placed["y"] = self._corner[0] - table["y"], self._corner[1] + table["x"]
            if "angle" in (table.dtype.names or ()):
                placed["angle"] += np.pi / 2
        else:
            placed["x"], placed["y"] = self._corner[0] + table["x"], self._corner[1] + table["y"]
        self.parts[name].append(placed)
        return table

    def add_area(
        self, a0: Edge, a1: Edge, b0: Edge, b1: Edge, ground: ArrayLike, tone: ArrayLike = 0, field: int = -1
    ) -> None:
        """Cover rectangles of the block's frame with a ground; later areas cover earlier ones."""
        u, v = self._corner
        u0, u1, v0, v1 = (u - b1, u - b0, v + a0, v + a1) if self._turned else (u + a0, u + a1, v + b0, v + b1)
        self.parts["areas"].append(rows("areas", u0=u0, u1=u1, v0=v0, v1=v1, ground=ground, tone=tone, field=field))

    def new_houses(self, count: int) -> NDArray[np.int32]:
        """Numbers for `count` new houses (count,)."""
        self.houses += count
        return np.arange(self.houses - count, self.houses, dtype=np.int32)

    def table(self, name: str) -> NDArray:
        """All rows collected so far under a name (N,)."""
        parts = self.parts.get(name)
        return np.concatenate(parts) if parts else np.empty(0, TABLES[name])
