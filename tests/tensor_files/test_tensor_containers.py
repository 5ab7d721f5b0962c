"""What training programs save is read; what a name or message may contain fits into one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segearth_ov3.errors import CheckpointError, printable
from segearth_ov3.tensor_files import check_count, open_tensor_file


def training_content() -> dict[str, object]:
    """A checkpoint with everything that PyTorch's training loops usually put into one."""
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {
        "model": network.state_dict(),  # an ordered dictionary with the attribute _metadata
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "loss": 0.25,
        "best": None,
        "names": ["a", "b"],
        "size": torch.Size([1, 2]),
        "dtype": torch.bfloat16,
        "device": torch.device("cpu"),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "strided": torch.arange(12.0).view(3, 4).T[1:],
        "empty": torch.empty(0, 4),
        "flags": torch.tensor([True]),
        "complex": torch.ones(2, dtype=torch.complex64),
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_training_checkpoint_is_read(zipped: bool, tmp_path: Path) -> None:
    content = training_content()
    torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    tensors = open_tensor_file(tmp_path / "x.pt").open_mapping()
    expected = content["model"]
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in tensors)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8, torch.bool, torch.complex128, torch.uint16])
def test_every_dtype_is_described(dtype: torch.dtype, tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(4, 2).to(dtype)}, tmp_path / "x.pt")
    tensor = open_tensor_file(tmp_path / "x.pt").open_mapping()["x"]
    assert (tensor.dtype, tuple(tensor.shape)) == (dtype, (4, 2))


def test_more_tensors_than_any_checkpoint_has_are_refused() -> None:
    check_count(50_000, Path("x.pt"))
    with pytest.raises(CheckpointError, match="holds 50001 tensors, more than 50000"):
        check_count(50_001, Path("x.pt"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a.b", "a.b"), ("straße", "straße"), ("a\nb", r"a\nb"), ("\x1b[31m", r"\x1b[31m"), ("\ud800", r"\ud800")],
)
def test_printable_escapes_what_breaks_a_line(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_printable_cuts_long_texts() -> None:
    assert printable("x" * 1000, most=5) == "xxxxx..."
