"""What the labels of a map depend on, as tags of the map.

They are compared before a finished map is kept and before an interrupted run is resumed, so they come from the
predictor itself. Callers may add tags, but not replace these.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import OptionError
from ..version import SOFTWARE, __version__
from .options import Described, Predictor
from .ownership import TAG_PREFIX

_RESERVED = (TAG_PREFIX, "CLASS_", "TIFFTAG_SOFTWARE")
_TAG_NAME = re.compile(r"[^\x00-\x1f=\s][^\x00-\x1f=]*")  # GDAL stores NAME=VALUE
_UNUSED = ("window", "stride")  # to the predictor, each window of a scene is a whole image


def predictor_tags(predictor: Predictor, tags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tags of a predictor's maps: version, what the predictor says about itself, and the caller's tags.

    Args:
        predictor: Anything that scores windows.
        tags: The caller's.

    Raises:
        OptionError: A tag of the caller has a name that GDAL cannot store or that is kept for tags of this package, or
            a value has no JSON type.
    """
    wrong = [name for name in tags if not isinstance(name, str) or not _TAG_NAME.fullmatch(name)]
    if wrong:
        raise OptionError(f"expected names of tags as text without = and control characters, got {wrong[0]!r}")
    taken = [name for name in tags if name.upper().startswith(_RESERVED)]
    if taken:
        raise OptionError(
            f"expected other names for the tags {', '.join(taken)}: names that begin with {', '.join(_RESERVED)} are "
            f"set by this package; what distinguishes a predictor belongs into its describe()"
        )
    described = {key: value for key, value in (_description(predictor) or {}).items() if key not in _UNUSED}
    for name, value in {**described, **tags}.items():
        _check_json(name, value)
    return {
        "TIFFTAG_SOFTWARE": f"{SOFTWARE} {__version__}",
        f"{TAG_PREFIX}VERSION": __version__,
        **{f"{TAG_PREFIX}{key.upper()}": value for key, value in described.items()},
        **tags,
    }


def check_identified(predictor: Predictor, tags: Mapping[str, Any]) -> None:
    """Refuse to resume with a predictor that nothing distinguishes from another one.

    Raises:
        OptionError: It does not describe itself, and there are no tags.
    """
    if not tags and _description(predictor) is None:
        raise OptionError(
            "resume needs to know the predictor: pass FunctionPredictor(function, description={...}), an object with "
            "describe(), or tags={...} that change when the scores do"
        )


def class_names_of(predictor: Predictor, classes: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the classes: those given, which may not contradict the predictor's, or the predictor's.

    Raises:
        OptionError: They differ, nobody names any, or `classes` is something else than names.
    """
    own: Sequence[str] | None = getattr(predictor, "class_names", None)
    if classes is not None and (isinstance(classes, str) or not isinstance(classes, Sequence)):
        raise OptionError(f"expected classes as a list of names, got {classes!r}")
    if own is None:
        if classes is None:
            raise OptionError("expected classes=[...], a name per class, because this predictor names none")
        return tuple(classes)
    if classes is not None and tuple(classes) != tuple(own):
        raise OptionError(
            f"expected the classes of the predictor, {', '.join(own)}, got {', '.join(map(str, classes))}; leave out "
            f"classes="
        )
    return tuple(own)


def name_differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return each setting that differs with both values, on one line; empty where all are equal.

    Args:
        found, wanted: Values in JSON types. One that is missing is not equal to null.
    """
    differing = [name for name in {**found, **wanted} if _text(found, name) != _text(wanted, name)]
    return "; ".join(f"{_plain(name)} was {_short(found, name)}, is {_short(wanted, name)}" for name in differing)


def _check_json(name: str, value: Any) -> None:
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise OptionError(f"expected {name} of describe() or tags in JSON types, got {value!r}: {error}") from error


def _description(predictor: Predictor) -> Mapping[str, Any] | None:
    return predictor.describe() if isinstance(predictor, Described) else None


def _plain(name: str) -> str:
    """A setting's name as users know it."""
    return name.removeprefix(TAG_PREFIX).lower().replace("_", " ") if name.startswith(TAG_PREFIX) else name


def _text(values: Mapping[str, Any], name: str) -> str:
    """A value as text, in which NaN is equal to itself."""
    return json.dumps(values[name], ensure_ascii=False) if name in values else "not stored"


def _short(values: Mapping[str, Any], name: str) -> str:
    """A value for a message: long ones with a checksum in place of their end, digests with their beginning only."""
    text = _text(values, name)
    if re.fullmatch('"[0-9a-f]{64}"', text):
        return text[1:13]
    return text if len(text) <= 80 else f"{text[:60]}... ({zlib.crc32(text.encode()):08x})"
