"""Bring a downloaded benchmark set into the layout that its configuration reads."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package lies beside this file's folder

from prepare_data.command import main

if __name__ == "__main__":
    sys.exit(main())
