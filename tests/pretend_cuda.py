"""Runs code that is meant for a GPU on a CPU, and says what a GPU would not have let pass.

    with PretendCuda() as gpu:
        model.to("cuda")
        Segmenter(model, words)(image)
    print(gpu.table())

Every tensor is a plain CPU tensor, so all results are right and control flow that depends on numbers works. What is
pretended is where it lies: tensors that a GPU would hold carry a mark, and `tensor.device` says "cuda:0" for them.

    mix-up      an operation gets tensors of both devices where CUDA refuses that              -> DeviceMixUp, at once
    wait        the host reads a number that the GPU has to compute first (.item(), .tolist(), bool(), .cpu(), nonzero,
                boolean indices), or a blocking copy to the GPU, which drains its queue         -> counted
    upload      a copy to the GPU that does not wait (non_blocking)                             -> counted
    kernel      an operator that a GPU would run, views and allocations left out                -> counted

Waits are attributed to the line of the package that caused them. Operators inside of PyTorch's own functions are seen
below (`_Below`), so that a hidden `nonzero` counts as well.

Limits: whether a kernel exists for a dtype, how precise it is, what it costs and how much memory it takes are not seen
here. 0-dimensional CPU tensors may be mixed in, as CUDA allows for pointwise operators. Only the calls of one thread
are watched.
"""

from __future__ import annotations

import collections
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

CUDA = torch.device("cuda:0")
CPU = torch.device("cpu")
MARK = "_pretends_to_be_on_cuda"
_REAL_AUTOCAST = torch.autocast
_REAL_MAKE_SUBCLASS = torch.Tensor._make_subclass

# functions through which the host reads numbers that the device has computed
WAITING = {
    "item", "tolist", "__bool__", "__int__", "__float__", "__index__", "__complex__", "__contains__", "__format__",
    "nonzero", "argwhere", "masked_select", "unique", "unique_consecutive", "_unique2", "bincount", "equal", "allclose",
    "is_nonzero", "one_hot", "histogramdd", "tensor_split", "cpu",
}  # fmt: skip
WAITING_BELOW = {
    "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim",
    "aten::bincount", "aten::equal", "aten::is_nonzero", "aten::item", "aten::unique_consecutive",
}  # fmt: skip
# what may get tensors of both devices, because it reads shapes, dtypes or devices only
SHAPES_ONLY = {
    "expand_as", "view_as", "reshape_as", "resize_as_", "broadcast_tensors", "result_type", "can_cast", "is_same_size",
    "_has_compatible_shallow_copy_type", "__get__", "is_set_to", "_is_alias_of",
}  # fmt: skip
POINTWISE = {
    "add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "pow", "remainder", "fmod",
    "floor_divide",
    "maximum", "minimum", "fmax", "fmin", "where", "lerp", "clamp", "clamp_min", "clamp_max", "eq", "ne", "lt", "le",
    "gt", "ge", "logical_and", "logical_or", "bitwise_and", "bitwise_or", "bitwise_xor", "addcmul", "addcdiv",
    "masked_fill", "fill_", "xlogy", "atan2", "hypot", "copysign", "nextafter",
}  # fmt: skip
NO_KERNEL = {
    "aten::empty", "aten::empty_strided", "aten::empty_like", "aten::new_empty", "aten::new_empty_strided",
    "aten::_local_scalar_dense", "aten::detach", "aten::resize_", "aten::set_", "aten::_fused_sdp_choice",
}  # fmt: skip


class DeviceMixUp(RuntimeError):
    """Tensors of both devices meet where CUDA would refuse them."""


class Event(NamedTuple):
    """Something that happened between host and device: its kind, the line that caused it, what was called."""

    kind: str
    where: str
    what: str


def on_cuda(tensor: Tensor) -> bool:
    """Whether a tensor pretends to be on the GPU."""
    return MARK in getattr(tensor, "__dict__", ())


def _put_on_cuda(tensor: Tensor) -> Tensor:
    tensor.__dict__[MARK] = True
    return tensor


def _is_cuda(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def _plain_name(func: Any) -> str:
    """The name by which the sets above know a function: "__iadd__" and "add_" are "add"."""
    name = getattr(func, "__name__", None) or str(func)
    name = name.split("::")[-1].split(".")[0]
    if name.startswith("__") and name.endswith("__") and name not in WAITING:
        bare = name.strip("_")
        for prefix in ("", "i", "r"):
            rest = bare[len(prefix) :]
            translated = {"truediv": "div", "floordiv": "floor_divide", "and": "bitwise_and", "or": "bitwise_or"}
            rest = translated.get(rest, {"xor": "bitwise_xor"}.get(rest, rest))
            if bare.startswith(prefix) and rest in POINTWISE:
                return rest
        return name
    return name.rstrip("_") if name.rstrip("_") in POINTWISE else name


class _Below(TorchDispatchMode):
    """Counts operators that a GPU would run, and sees waits inside of PyTorch's own functions."""

    def __init__(self, owner: PretendCuda) -> None:
        super().__init__()
        self.owner = owner

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        owner = self.owner
        if owner.running is not None:
            name = func._schema.name
            is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
            if not is_view and name not in NO_KERNEL:
                owner.kernels[owner.stage] += 1
                owner.kernel_names[name] += 1
            if not owner.noted:
                masks = name in ("aten::index", "aten::index_put", "aten::index_put_") and any(
                    x is not None and x.dtype in (torch.bool, torch.uint8) for x in args[1]
                )
                if name in WAITING_BELOW or masks:
                    owner.note("wait", f"{name} in {owner.running}")
        return func(*args, **(kwargs or {}))


class PretendCuda(TorchFunctionMode):
    """See the top of this file.

    Args:
        root: Folder of the package; events are attributed to the innermost of its lines.
        free_bytes: What `torch.cuda.mem_get_info` says is free.

    Attributes:
        events: What happened, in order.
        kernels: Operators by the stage that was set when they ran (`gpu.stage = "fuse"`).
    """

    def __init__(self, root: str | None = None, free_bytes: int = 60 * 2**30) -> None:
        super().__init__()
        self.root = root or _package_folder()
        self.free_bytes = free_bytes
        self.events: list[Event] = []
        self.kernels: collections.Counter[str] = collections.Counter()
        self.kernel_names: collections.Counter[str] = collections.Counter()
        self.uploaded_bytes = self.downloaded_bytes = 0
        self.stage = "all"
        self.running: str | None = None
        self.noted = False
        self._stack: contextlib.ExitStack | None = None
        self._thread = threading.get_ident()

    # ---- entering and leaving

    def __enter__(self) -> PretendCuda:
        import torchvision.ops  # noqa: F401, at its first import it looks at functions that are patched below

        self._stack = contextlib.ExitStack()
        self._stack.enter_context(_Below(self))
        for patch in self._patches():
            self._stack.enter_context(patch)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        assert self._stack is not None
        self._stack.close()

    def _patches(self) -> Iterator[Any]:
        """What asks the driver, or chooses by the device in C++."""

        def autocast(device_type: str, *args: Any, **kwargs: Any) -> Any:
            return _REAL_AUTOCAST("cpu" if torch.device(device_type).type == "cuda" else device_type, *args, **kwargs)

        def make_subclass(cls: type, data: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            made = _REAL_MAKE_SUBCLASS(cls, data, *args, **kwargs)
            return _put_on_cuda(made) if on_cuda(data) else made

        answers: dict[str, Callable[..., Any]] = {
            "is_available": lambda: True,
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "get_device_name": lambda *a, **k: "pretended GPU",
            "get_device_capability": lambda *a, **k: (9, 0),
            "mem_get_info": lambda *a, **k: (self.free_bytes, 80 * 2**30),
            "memory_reserved": lambda *a, **k: 0,
            "memory_allocated": lambda *a, **k: 0,
            "max_memory_allocated": lambda *a, **k: 0,
            "reset_peak_memory_stats": lambda *a, **k: None,
            "is_bf16_supported": lambda *a, **k: True,
            "synchronize": lambda *a, **k: self.note("wait", "torch.cuda.synchronize"),
            "empty_cache": lambda *a, **k: self.note("wait", "torch.cuda.empty_cache"),
        }
        yield mock.patch.multiple(torch.cuda, **answers)
        yield mock.patch.object(torch, "autocast", autocast)
        yield mock.patch.object(torch.Tensor, "_make_subclass", make_subclass)

    # ---- what happened

    def note(self, kind: str, what: str) -> None:
        """Record an event at the present line of the package."""
        self.events.append(Event(kind, self._where(), what))

    def _where(self) -> str:
        frame: Any = sys._getframe(2)
        outermost = "?"
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(self.root):
                return f"{os.path.relpath(file, os.path.dirname(self.root))}:{frame.f_lineno}"
            if file != __file__ and "/torch/" not in file and outermost == "?":
                outermost = f"{os.path.basename(file)}:{frame.f_lineno}"
            frame = frame.f_back
        return outermost

    def counts(self, kind: str = "wait") -> collections.Counter[tuple[str, str]]:
        """Events of a kind by line and function."""
        return collections.Counter((event.where, event.what) for event in self.events if event.kind == kind)

    def table(self) -> str:
        """All events, most frequent first."""
        found = collections.Counter(self.events)
        lines = [f"{number:6d}  {kind:7s} {where:40s} {what}" for (kind, where, what), number in found.most_common()]
        return "\n".join(lines)

    # ---- every function of PyTorch goes through here

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if threading.get_ident() != self._thread:
            return func(*args, **kwargs)
        name = _plain_name(func)
        special = getattr(self, f"_do_{name.strip('_')}", None) if name in _SPECIAL else None
        if name == "__get__":
            return self._attribute(func, args)
        if name == "__set__":
            return self._set_attribute(func, args)
        if special is not None:
            return special(func, args, kwargs)
        tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
        marked = [x for x in tensors if on_cuda(x)]
        wants = kwargs.get("device")
        if wants is not None:
            kwargs["device"] = "cpu"
        if not marked and not _is_cuda(wants):
            if wants is not None:
                kwargs["device"] = wants
            return self._on_host(func, args, kwargs)
        self._check(func, name, args, tensors, marked)
        waits = self._waits(name, args, bool(marked))
        if waits is None and not marked and name in ("tensor", "as_tensor", "asarray", "scalar_tensor"):
            waits = "copies its values to the device and waits"
        if waits:
            self.note("wait", f"{name}: {waits}")
        result = self._on_device(func, name, args, kwargs, noted=bool(waits))
        to_host = wants is not None and not _is_cuda(wants)
        if to_host:  # x.new_zeros(..., device="cpu") and the like
            return result
        if name == "__iter__":
            return iter([_put_on_cuda(x) for x in result])
        return tree_map_only(Tensor, _put_on_cuda, result)

    def _on_host(self, func: Any, args: Any, kwargs: Any) -> Any:
        before, self.running = self.running, None
        try:
            return func(*args, **kwargs)
        finally:
            self.running = before

    def _on_device(self, func: Any, name: str, args: Any, kwargs: Any, *, noted: bool = False) -> Any:
        before = self.running, self.noted
        self.running, self.noted = name, noted
        try:
            return func(*args, **kwargs)
        finally:
            self.running, self.noted = before

    def _check(self, func: Any, name: str, args: Any, tensors: list[Tensor], marked: list[Tensor]) -> None:
        """Raise where tensors of both devices meet."""
        hosts = [x for x in tensors if not on_cuda(x)]
        if not hosts or not marked or name in SHAPES_ONLY:
            return
        if name in POINTWISE and all(x.ndim == 0 for x in hosts):
            return
        if name in ("__getitem__", "__setitem__", "index_put", "index_put_", "index"):
            if not on_cuda(args[0]):
                raise DeviceMixUp(f"{name}: a CPU tensor indexed by, or filled from, one on cuda:0 ({self._where()})")
            self.note("wait", f"{name}: copies an index or values from the host")
            return
        shapes = [f"{'cuda' if on_cuda(x) else 'cpu'} {tuple(x.shape)}" for x in tensors]
        raise DeviceMixUp(f"{name} got tensors on both devices: {', '.join(shapes)} ({self._where()})")

    @staticmethod
    def _waits(name: str, args: Any, has_marked: bool) -> str | None:
        """Why a function waits for the device, if it does."""
        if not has_marked:
            return None
        if name in WAITING:
            return "the host reads a result"
        if name == "repeat_interleave" and len(args) > 1 and isinstance(args[1], Tensor):
            return "the host reads the size"
        if name in ("__getitem__", "__setitem__"):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            masks = any(isinstance(x, Tensor) and on_cuda(x) and x.dtype == torch.bool for x in index)
            scalar = name == "__setitem__" and not (isinstance(args[2], Tensor) and args[2].ndim > 0)
            if masks and not scalar:
                return "boolean mask, the host reads how many are chosen"
        return None

    # ---- functions that know devices

    def _attribute(self, func: Any, args: Any) -> Any:
        tensor, getter = args[0], func.__self__
        if on_cuda(tensor):
            if getter is torch.Tensor.device:
                return CUDA
            if getter is torch.Tensor.is_cuda:
                return True
            if getter is torch.Tensor.is_cpu:
                return False
        elif getter is torch.Tensor.device:
            return func(*args)
        result = func(*args)
        if isinstance(result, Tensor) and on_cuda(tensor):
            _put_on_cuda(result)
        return result

    @staticmethod
    def _set_attribute(func: Any, args: Any) -> Any:
        result = func(*args)
        target, value = args[0], args[1] if len(args) > 1 else None
        if isinstance(value, Tensor) and func.__self__ is torch.Tensor.data:
            if on_cuda(value):
                _put_on_cuda(target)
            else:
                target.__dict__.pop(MARK, None)
        return result

    def _do_to(self, func: Any, args: Any, kwargs: Any) -> Any:
        tensor, rest = args[0], args[1:]
        device = dtype = None
        blocking = not kwargs.get("non_blocking", False)
        layout = {key: kwargs[key] for key in ("memory_format",) if key in kwargs}
        other = rest[0] if rest and isinstance(rest[0], Tensor) else kwargs.get("other")
        if other is not None:
            device, dtype = (CUDA if on_cuda(other) else CPU), other.dtype
        else:
            parsed = torch._C._nn._parse_to(*rest, **{k: v for k, v in kwargs.items() if k != "copy"})
            device, dtype, not_blocking = parsed[0], parsed[1], parsed[2]
            blocking = not not_blocking
        return self._moved(tensor, device, dtype, blocking, layout)

    def _moved(self, tensor: Tensor, device: Any, dtype: Any, blocking: bool, layout: dict[str, Any]) -> Tensor:
        source = on_cuda(tensor)
        target = source if device is None else _is_cuda(device)
        options = {**layout, **({} if dtype is None else {"dtype": dtype})}
        if source == target:
            if not options:
                return tensor
            run = self._on_device if source else lambda f, n, a, k: self._on_host(f, a, k)
            moved = run(torch.Tensor.to, "to", (tensor,), options)
            return _put_on_cuda(moved) if source else moved
        moved = self._on_host(torch.Tensor.to, (tensor,), {**options, "copy": True})
        size = moved.numel() * moved.element_size()
        if target:
            self.uploaded_bytes += size
            self.note("wait" if blocking else "upload", "to: blocking copy to the device" if blocking else "to: upload")
            return _put_on_cuda(moved)
        self.downloaded_bytes += size
        self.note("wait", "to: copy to the host")
        return moved

    def _do_cuda(self, func: Any, args: Any, kwargs: Any) -> Any:
        return self._moved(args[0], CUDA, None, not kwargs.get("non_blocking", False), {})

    def _do_cpu(self, func: Any, args: Any, kwargs: Any) -> Any:
        return self._moved(args[0], CPU, None, True, {})

    def _do_type_as(self, func: Any, args: Any, kwargs: Any) -> Any:
        return self._do_to(func, args, kwargs)

    def _do_copy(self, func: Any, args: Any, kwargs: Any) -> Any:
        target, source = args[0], args[1]
        if on_cuda(target) != on_cuda(source):
            not_blocking = kwargs.get("non_blocking", len(args) > 2 and args[2])
            upload = on_cuda(target)
            if upload and not_blocking:
                self.note("upload", "copy_: upload")
            else:
                self.note("wait", f"copy_: copy to the {'device' if upload else 'host'}")
        self._on_host(func, args, kwargs)
        return target

    def _do_numpy(self, func: Any, args: Any, kwargs: Any) -> Any:
        if on_cuda(args[0]):
            raise DeviceMixUp(f"numpy() of a tensor on cuda:0; call .cpu() first ({self._where()})")
        return self._on_host(func, args, kwargs)

    _do_array = _do_numpy

    def _do_get_device(self, func: Any, args: Any, kwargs: Any) -> int:
        return 0 if on_cuda(args[0]) else -1


# functions with a method of their own above
_SPECIAL = {"to", "cuda", "cpu", "type_as", "copy_", "numpy", "__array__", "get_device"}


def _package_folder() -> str:
    import segearth_ov3

    return str(os.path.dirname(os.path.abspath(segearth_ov3.__file__)))
