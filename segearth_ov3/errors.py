"""Exceptions of the toolkit: one tree, so that `except SegEarthError` catches every mistake a caller can make.

    SegEarthError
    ├── ShapeError          (also ValueError)      an array has the wrong shape
    ├── OptionError         (also ValueError)      an argument or configuration value is not admissible
    ├── UnknownNameError    (also KeyError)        a registry has no such entry
    ├── VocabularyError     (also ValueError)      a class list cannot be used
    ├── ScoreError          (also ArithmeticError) scores are not finite
    ├── CheckpointError     (also RuntimeError)    weights are missing, damaged or not SAM 3
    ├── RasterError         (also ValueError)      a raster cannot be read or written
    └── DatasetError        (also RuntimeError)    benchmark data are missing or malformed

Each message says what was expected, what came and what to do, in one line where possible.
"""


class SegEarthError(Exception):
    """Base of all exceptions raised on purpose by this package."""


class ShapeError(SegEarthError, ValueError):
    """An array has the wrong shape."""


class OptionError(SegEarthError, ValueError):
    """An argument or configuration value is not admissible."""


class UnknownNameError(SegEarthError, KeyError):
    """A registry has no entry of the given name."""

    def __str__(self) -> str:  # KeyError would show the message in quotes
        return str(self.args[0]) if self.args else ""


class VocabularyError(SegEarthError, ValueError):
    """A class list cannot be used."""


class ScoreError(SegEarthError, ArithmeticError):
    """Scores are NaN or infinite, so that no label follows from them."""


class CheckpointError(SegEarthError, RuntimeError):
    """Weights are missing, damaged, or not those of SAM 3."""


class RasterError(SegEarthError, ValueError):
    """A raster cannot be read or written."""


class DatasetError(SegEarthError, RuntimeError):
    """Benchmark data are missing or malformed."""


class SegEarthWarning(UserWarning):
    """Base of all warnings of this package."""


class VocabularyWarning(SegEarthWarning):
    """A class list works, but probably not as intended."""


class RasterWarning(SegEarthWarning):
    """A raster works, but something in it limits what the result means."""


class FontWarning(SegEarthWarning):
    """A picture lacks letters, because no font has them."""


class DatasetWarning(SegEarthWarning):
    """Labels can be evaluated, but probably do not say what was intended."""


class StaleBuildWarning(SegEarthWarning):
    """Compiled code does not fit the package and is not used."""


class LowMemoryWarning(SegEarthWarning):
    """Memory ran out; work goes on in smaller pieces."""


# what PyTorch's allocators say (CUDA, MPS, CPU on Linux, CPU on Windows), and cuBLAS where its workspace does not fit
_MEMORY_PHRASES = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, without importing it
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _MEMORY_PHRASES)


def printable(text: str, most: int = 120) -> str:
    """Return a text from a file in a form that fits into a one-line message.

    Args:
        text: Any text.
        most: Characters to keep; a longer text ends in "...".

    Returns:
        The text, with line ends, control characters and lone surrogates as escapes.
    """
    if len(text) > most:
        text = f"{text[:most]}..."
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
