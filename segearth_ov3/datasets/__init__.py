"""Facts of the benchmark sets: classes, colours, folders, licences, published settings and scores."""

from .spec import DatasetSpec, PublishedScore
from .specs import SPECS

__all__ = ["SPECS", "DatasetSpec", "PublishedScore"]
