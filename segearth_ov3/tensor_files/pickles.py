"""Check the pickle in a PyTorch file before PyTorch loads it.

PyTorch's restricted unpickler runs no foreign code, but a small pickle can still make it allocate gigabytes or never
end: `bytearray(10**10)`, tensors of any size without content, tuples of tuples as dictionary keys. `PickleCheck` steps
through the opcodes without building any object, and accepts what dictionaries of tensors and numbers consist of.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

MOST_OPCODES = 1_000_000  # SAM 3.1's file has about 70 000

_ITEM_SIZES = {
    **dict.fromkeys(("ByteStorage", "CharStorage", "BoolStorage", "UntypedStorage"), 1),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
    **dict.fromkeys(("FloatStorage", "IntStorage"), 4),
    **dict.fromkeys(("DoubleStorage", "LongStorage", "ComplexFloatStorage"), 8),
    "ComplexDoubleStorage": 16,
}
_STORAGES = {f"{module} {name}": size for name, size in _ITEM_SIZES.items() for module in ("torch", "torch.storage")}
_DTYPES = {f"torch {name}": value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
_ORDERED_DICT = "collections OrderedDict"
_KEYS = (str, int, float, type(None))


class RefusedPickle(Exception):
    """The pickle holds code or objects other than tensors, numbers and texts, which the message names."""


class _Global(NamedTuple):
    name: str


class _Storage(NamedTuple):
    items: int
    item_size: int


class _Object(NamedTuple):
    """Something whose content does not matter: "dict", "ordered", "list", "tensor" or "device"."""

    kind: str


class PickleCheck:
    """Steps through pickles and remembers the storages they name.

    Attributes:
        storages: Bytes of each storage that the pickle names, by key.
    """

    def __init__(self) -> None:
        self.storages: dict[str, int] = {}
        self._opcodes = 0
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def check(self, stream: io.BytesIO) -> Any:
        """Step through one pickle, from the stream's position to the pickle's end.

        Args:
            stream: The pickle, and anything after it.

        Returns:
            The object that the pickle makes: a number, text or tuple as it is, anything else as a placeholder.

        Raises:
            RefusedPickle: It holds something else than tensors, numbers and texts.
            ValueError: It is damaged, or larger than that of any checkpoint.
        """
        self._stack, self._outer, self._memo = [], [], {}
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                self._opcodes += 1
                if self._opcodes > MOST_OPCODES:
                    raise ValueError(f"more than {MOST_OPCODES} pickle instructions")
                self._step(opcode.name, argument)
            return self._stack.pop()
        except (IndexError, KeyError) as error:  # an empty stack, or a memo that was never filled
            raise ValueError("malformed pickle") from error

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _VALUES:
            stack.append(_VALUES[name](argument))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "MARK":
            self._outer.append(stack)
            self._stack = []
        elif name in _ACTIONS:
            _ACTIONS[name](self)
        elif name not in ("PROTO", "STOP"):
            raise RefusedPickle("code or other Python objects")

    def _pop_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._outer.pop()
        return items

    def _tuple(self, length: int | None = None) -> None:
        items = self._pop_mark() if length is None else [self._stack.pop() for _ in range(length)][::-1]
        self._stack.append(tuple(items))

    def _fill(self, kinds: Sequence[str], keys: Sequence[Any]) -> None:
        """Items went into the container on top of the stack, dictionaries by these keys."""
        if not (isinstance(self._stack[-1], _Object) and self._stack[-1].kind in kinds):
            raise ValueError("malformed pickle")
        if not all(isinstance(key, _KEYS) for key in keys):
            raise RefusedPickle("dictionaries with keys other than texts and numbers")

    def _set_item(self) -> None:
        _, key = self._stack.pop(), self._stack.pop()
        self._fill(("dict", "ordered"), [key])

    def _append(self) -> None:
        self._stack.pop()
        self._fill(("list",), [])

    def _set_items(self) -> None:
        self._fill(("dict", "ordered"), self._pop_mark()[::2])

    def _appends(self) -> None:
        self._pop_mark()
        self._fill(("list",), [])

    def _build(self) -> None:
        """Set attributes, which only ordered dictionaries have here (`_metadata`)."""
        if self._stack.pop() != _Object("dict"):
            raise ValueError("malformed pickle")
        self._fill(("ordered",), [])

    def _storage(self) -> None:
        """A persistent id: ("storage", class, key, device, number of items), and a view in files of old versions."""
        pid = self._stack.pop()
        if not (isinstance(pid, tuple) and len(pid) in (5, 6) and isinstance(pid[1], _Global)):
            raise ValueError("malformed storage")
        word, kind, key, device, items, *view = pid
        if word not in ("storage", b"storage") or not isinstance(key, str) or not isinstance(device, str):
            raise ValueError("malformed storage")
        if kind.name not in _STORAGES or not _is_size(items) or view not in ([], [None]):
            raise ValueError("malformed storage")
        storage = _Storage(items, _STORAGES[kind.name])
        self.storages[key] = max(self.storages.get(key, 0), items * storage.item_size)
        self._stack.append(storage)

    def _reduce(self) -> None:
        """Call one of the few functions that tensors and ordered dictionaries are made by."""
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            raise RefusedPickle("code or other Python objects")
        make = _FUNCTIONS.get(function.name)
        if make is None:
            raise RefusedPickle(f"code ({function.name.replace(' ', '.')})")
        self._stack.append(make(*arguments))


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *others: Any) -> _Object:
    """Check a view of a storage, which must fit into it; `others` are a flag, hooks, and for new dtypes the dtype."""
    if not isinstance(storage, _Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise ValueError("malformed tensor")
    if not all(map(_is_size, (offset, *size, *stride))) or len(size) != len(stride) or len(others) > 4:
        raise ValueError("malformed tensor")
    items = storage.items
    for each in others:
        if isinstance(each, _Global):
            if each.name not in _DTYPES:
                raise ValueError("malformed tensor")
            items = storage.items * storage.item_size // _DTYPES[each.name].itemsize
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    if 0 not in size and last >= items:
        raise ValueError("a tensor is larger than its storage")
    return _Object("tensor")


def _parameter(tensor: Any, *others: Any) -> _Object:
    if tensor != _Object("tensor") or len(others) != 2:
        raise ValueError("malformed tensor")
    return _Object("tensor")


def _ordered(*arguments: Any) -> _Object:
    if arguments:
        raise ValueError("malformed dictionary")
    return _Object("ordered")


def _size(*arguments: Any) -> tuple[Any, ...]:
    (values,) = arguments if len(arguments) == 1 else (None,)
    if not isinstance(values, tuple) or not all(map(_is_size, values)):
        raise ValueError("malformed size")
    return values


def _device(*arguments: Any) -> _Object:
    if not all(isinstance(each, (str, int)) for each in arguments):
        raise ValueError("malformed device")
    return _Object("device")


def _global(name: str) -> _Global:
    if name not in _FUNCTIONS and name not in _STORAGES and name not in _DTYPES:
        raise RefusedPickle(f"code ({name.replace(' ', '.')})")
    return _Global(name)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys((f"torch._utils _rebuild_tensor{version}" for version in ("", "_v2", "_v3")), _tensor),
    "torch._utils _rebuild_parameter": _parameter,
    _ORDERED_DICT: _ordered,
    "torch Size": _size,
    "torch device": _device,
}
_VALUES: dict[str, Callable[[Any], Any]] = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_LIST": lambda _: _Object("list"),
    "EMPTY_DICT": lambda _: _Object("dict"),
    "GLOBAL": _global,
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"), lambda value: value),
    "SHORT_BINSTRING": lambda value: value.encode("latin-1"),
}
_ACTIONS: dict[str, Callable[[PickleCheck], None]] = {
    "TUPLE": PickleCheck._tuple,
    "TUPLE1": lambda check: check._tuple(1),
    "TUPLE2": lambda check: check._tuple(2),
    "TUPLE3": lambda check: check._tuple(3),
    "SETITEM": PickleCheck._set_item,
    "SETITEMS": PickleCheck._set_items,
    "APPEND": PickleCheck._append,
    "APPENDS": PickleCheck._appends,
    "BUILD": PickleCheck._build,
    "BINPERSID": PickleCheck._storage,
    "REDUCE": PickleCheck._reduce,
}
