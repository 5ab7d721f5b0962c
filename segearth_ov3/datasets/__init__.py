"""Facts of the benchmark sets: classes, colours, folders, licences, published settings and scores."""

from .published import AVERAGES, PUBLISHED, RELEASED, ROBUSTNESS, PublishedScore, Settings
from .spec import DatasetSpec
from .specs import SPECS

__all__ = ["AVERAGES", "PUBLISHED", "RELEASED", "ROBUSTNESS", "SPECS", "DatasetSpec", "PublishedScore", "Settings"]
