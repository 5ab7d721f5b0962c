"""Arguments of `segment_scene` of the wrong type: what was expected, what came, what to pass instead."""

from __future__ import annotations

import os

from ..errors import OptionError
from .options import FunctionPredictor, Outputs, Predictor, WindowOptions
from .reader import ReadOptions

_OPTIONS = {"reading": ReadOptions, "windows": WindowOptions, "outputs": Outputs}


def check_arguments(src: object, dst: object, progress: object, **options: object) -> None:
    """Raise on the first argument of another type.

    Args:
        src, dst, progress: As in `segment_scene`.
        options: `reading`, `windows` and `outputs`, as in `segment_scene`.

    Raises:
        OptionError: An argument has another type; the message says what to pass.
    """
    for name, path in (("src", src), ("dst", dst)):
        if not isinstance(path, (str, os.PathLike)):
            remedy = "; label an array by segmenter(image)" if hasattr(path, "shape") else ""
            raise OptionError(f"expected {name} as a path, got {type(path).__name__}{remedy}")
    for name, value in options.items():
        kind = _OPTIONS[name].__name__
        if not isinstance(value, _OPTIONS[name]):
            raise OptionError(f"expected {name}={kind}(...) of segearth_ov3.geo.scene, got {value!r}")
    if not (progress is None or progress == "bar" or callable(progress)):
        raise OptionError(f"expected progress as a function, 'bar' or None, got {progress!r}")


def as_predictor(predict: object) -> Predictor:
    """Return a predictor, made of a function where one is given.

    Raises:
        OptionError: Neither; a network alone has no classes.
    """
    if isinstance(predict, Predictor):
        return predict
    if hasattr(predict, "encode_text"):
        raise OptionError("expected a Segmenter, got a network; pass Segmenter(model, vocabulary)")
    if not callable(predict):
        raise OptionError(f"expected a Segmenter, another Predictor or a function, got {predict!r}")
    return FunctionPredictor(predict)
