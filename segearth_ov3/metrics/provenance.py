"""What numbers depend on besides settings and data: versions of packages, and the commit of a checkout."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

from ..version import __version__

PACKAGES = (
    "torch",
    "torchvision",
    "open_clip_torch",
    "mmsegmentation",
    "mmengine",
    "mmcv",
    "mmcv-lite",
    "numpy",
    "pillow",
    "opencv-python",
)


def package_versions() -> dict[str, str]:
    """Versions of Python, this package and those of its dependencies that are installed and bear on the numbers."""
    found = {"python": platform.python_version(), "segearth_ov3": __version__}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def checkout_commit(folder: Path) -> str | None:
    """The git commit of a folder that is the top of a checkout.

    Args:
        folder: Where `.git` would be; folders above are not searched.

    Returns:
        The hash, with "-dirty" if tracked files are changed; None if the folder is no checkout, has no commit yet, or
        git is not installed.
    """
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return result.stdout.strip() or None if result.returncode == 0 else None


def settings_digest(settings: Any) -> str:
    """Return 16 hexadecimal digits that stand for a structure of plain JSON types, in any order of its keys."""
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
