"""What a refiner is, and how a chain of them acts at one place of the network.

    trunk    (B, Dv, g, g)  output of the vision transformer; changes everything after it
    pyramid  (B, D, g, g)   coarsest level of the feature pyramid; changes what the prompts are fused with
    memory   (P, D, g, g)   one map per prompt; what the decoder and the mask heads read

A refiner is a frozen dataclass of numbers around a pure function. It returns tokens of the same shape, dtype and
device, leaves its input as it was, and has a documented setting that changes nothing.
"""

from __future__ import annotations

import dataclasses
import sys
import traceback
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from ..errors import OptionError, SegEarthError, ShapeError, is_out_of_memory

PLACES = ("trunk", "pyramid", "memory")
NEEDS = ("image", "prompts")

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class RefinerContext:
    """What a refiner may read besides the tokens.

    Attributes:
        pixels: Network input (B, 3, R, R), float32 in [-1, 1].
        prompts: Words of the prompt of each row of the tokens (N); empty where rows are images.
        images: Image of each row of the tokens (N,), int64; None: the only image for all rows, or row i is image i.
    """

    pixels: Tensor
    prompts: tuple[str, ...] = ()
    images: Tensor | None = None
    _shared: dict[Hashable, Any] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def with_prompts(self, prompts: Iterable[str], images: Tensor | None = None) -> RefinerContext:
        """The same images, read by prompts; shares what was computed once per image."""
        return dataclasses.replace(self, prompts=tuple(prompts), images=images)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returns, called once per image however many prompts, refiners and variants ask for it.

        Args:
            key: Says everything that the value depends on besides `pixels`.
            make: Computes the value.
        """
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    def rows(self, per_image: Tensor, count: int) -> Tensor:
        """Spread values of the B images over the rows of the tokens.

        Args:
            per_image: (B, ...).
            count: Rows N.

        Returns:
            (N, ...), or (1, ...) where all rows share one image.

        Raises:
            ShapeError: Neither one image, nor one per row, and `images` does not say which.
        """
        if self.images is not None:
            return per_image[self.images]
        if len(per_image) not in (1, count):
            raise ShapeError(f"expected one image or one for each of {count} rows of tokens, got {len(per_image)}")
        return per_image


@runtime_checkable
class Refiner(Protocol):
    """What every refiner has; those here are frozen dataclasses whose fields are the numbers of a pure function.

    Attributes:
        at: Where it acts, one of `PLACES`.
        needs: What it reads from the context besides the tokens: "image", "prompts". A place that lacks it is refused.
    """

    @property
    def at(self) -> str: ...  # noqa: D102

    @property
    def needs(self) -> frozenset[str]: ...  # noqa: D102

    def __call__(self, tokens: Tensor, context: RefinerContext) -> Tensor:
        """Refine tokens.

        Args:
            tokens: (N, D, g, g), floating; may be non-contiguous.
            context: Pixels of the images; at the memory also the prompts.

        Returns:
            As `tokens`: shape, dtype, device.
        """
        ...


@runtime_checkable
class HasWeights(Protocol):
    """A refiner that reads a network of its own."""

    def load(self, device: torch.device) -> None:
        """Fetch the weights, so that mistakes show before any image is read.

        Raises:
            CheckpointError: They cannot be had; the message says what to do.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class CustomRefiner:
    """Use a function as a refiner.

    Attributes:
        function: (tokens (N, D, g, g), context) to tokens of the same shape, dtype and device.
        at: Where it acts, one of `PLACES`.
        needs: What it reads from the context: "image", "prompts".
    """

    function: Callable[[Tensor, RefinerContext], Tensor]
    at: str = "memory"
    needs: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "needs", frozenset(self.needs))  # configurations give lists, which cannot be hashed
        check_place(self.at, self.needs)

    def __call__(self, tokens: Tensor, context: RefinerContext) -> Tensor:
        """Apply the function."""
        return self.function(tokens, context)


def refine(tokens: Tensor, refiners: Iterable[Refiner], context: RefinerContext) -> Tensor:
    """Apply refiners one after another.

    Args:
        tokens: (N, D, g, g).
        refiners: Those of one place, in order.
        context: Of the same rows.

    Returns:
        As `tokens`; the same tensor if there is no refiner.

    Raises:
        ShapeError: A refiner returned another shape, dtype or device.
        OptionError: A refiner of the user failed, returned no tensor, or changed its input, which other variants
            still have to read.
    """
    for refiner in refiners:
        version = None if tokens.is_inference() else tokens._version
        refined = _call(refiner, tokens, context)
        if not isinstance(refined, Tensor):
            raise OptionError(f"{refiner} must return tokens, got {type(refined).__name__}")
        if version is not None and tokens._version != version:
            raise OptionError(f"{refiner} changed its input in place; let it return new tokens")
        wanted, got = ((tuple(each.shape), each.dtype, each.device) for each in (tokens, refined))
        if wanted != got:
            raise ShapeError(f"{refiner} must return tokens like its input, {wanted}, got {got}")
        tokens = refined
    return tokens


def _call(refiner: Refiner, tokens: Tensor, context: RefinerContext) -> object:
    """Call a refiner; the error of one that is not of this package names the line.

    Lack of memory passes through, because the caller can retry with fewer prompts.
    """
    try:
        return refiner(tokens, context)
    except Exception as error:
        owner = refiner.function if isinstance(refiner, CustomRefiner) else type(refiner)
        module = str(getattr(owner, "__module__", ""))
        is_ours = module.partition(".")[0] == __name__.partition(".")[0]
        if is_ours or isinstance(error, SegEarthError) or is_out_of_memory(error):
            raise
        file = getattr(sys.modules.get(module), "__file__", None)
        frames = traceback.extract_tb(error.__traceback__)
        last = next((frame for frame in reversed(frames) if frame.filename == file), frames[-1])
        place = f"{last.filename}, line {last.lineno}"
        raise OptionError(f"{refiner} failed ({place}): {type(error).__name__}: {error}") from error


def check_place(at: object, needs: frozenset[str] = frozenset()) -> None:
    """Make sure that a refiner may act at a place.

    Raises:
        OptionError: There is no such place, or what the refiner reads is not there.
    """
    check_choice("at", at, PLACES)
    if isinstance(needs, str) or not set(NEEDS).issuperset(needs):
        raise OptionError(f"needs must be a set of {', '.join(NEEDS)}, got {needs!r}")
    if "prompts" in needs and at != "memory":
        raise OptionError(f"prompts are read at='memory' only, got at={at!r}")


def check_range(values: Mapping[str, float], low: float, high: float = float("inf")) -> None:
    """Make sure that numbers lie in low..high, both included.

    Raises:
        OptionError: One does not, is NaN, or is no number.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise OptionError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Make sure that a value is one of a few.

    Raises:
        OptionError: It is not; the message lists them.
    """
    choices = list(choices)
    if isinstance(value, bool) or not any(value == each and isinstance(value, type(each)) for each in choices):
        raise OptionError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")
