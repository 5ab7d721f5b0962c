from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segearth_ov3.engine.running_mean import RunningMean
from segearth_ov3.geo.tiles import plan_windows


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 12), st.data())
def test_mean_of_windows_is_that_of_whole_sums(height: int, width: int, window: int, data: st.DataObject) -> None:
    windows = plan_windows((height, width), window, data.draw(st.integers(1, window)))
    generator = torch.Generator().manual_seed(height * width)
    sums, counts = torch.zeros(2, 3, height, width), torch.zeros(height, width)
    means = RunningMean((2, 3, windows[0].height, width), sums.device)
    taken = []
    for each in windows:
        maps = torch.rand((2, 3, each.height, each.width), generator=generator)
        rows, cols = each.slices
        sums[..., rows, cols] += maps
        counts[rows, cols] += 1
        if each.row > means.row:
            taken.append(means.take(each.row))
        means.add(each, ((variant, prompt, maps[variant, prompt]) for variant in (0, 1) for prompt in (0, 1, 2)))
    taken.append(means.take(height))
    assert means.row == height
    assert torch.equal(torch.cat(taken, dim=2), sums / counts)
