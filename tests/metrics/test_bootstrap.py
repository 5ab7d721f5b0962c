"""The paired bootstrap against a slow loop over the same draws, against scipy, and against cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.metrics.bootstrap import Interval, paired_bootstrap
from segearth_ov3.metrics.confusion import compute_scores

CLASSES = 5


def make_sides(images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two predictions of the same labels (I, C, C); class 3 is rare, class 4 neither occurs nor is predicted."""
    rng = np.random.default_rng(seed)
    sides = np.zeros((2, images, CLASSES, CLASSES), dtype=np.int64)
    for image in range(images):
        labels = rng.choice(4 if image % 5 == 0 else 3, 400)
        for side, share in zip(sides, (0.5, 0.45 + 0.2 * rng.random())):
            predictions = np.where(rng.random(400) < share, labels, rng.choice(3, 400))
            np.add.at(side[image], (labels, predictions), 1)
    return sides[0], sides[1]


def delta_of(baseline: np.ndarray, variant: np.ndarray, drawn: np.ndarray) -> float:
    """Difference in per cent of mIoU over some images, from the scores of an evaluation."""
    return 100 * (compute_scores(variant[drawn].sum(axis=0)).miou - compute_scores(baseline[drawn].sum(axis=0)).miou)


def numbers_of(interval: Interval) -> tuple[float, float, float]:
    return interval.delta, interval.low, interval.high


@pytest.mark.parametrize(("images", "samples"), [(12, 300), (700, 1600)])  # the second takes two blocks
def test_interval_agrees_with_a_loop_over_the_same_draws(images, samples):
    baseline, variant = make_sides(images)
    draws = np.random.default_rng(7).integers(0, images, size=(samples, images))
    deltas = [delta_of(baseline, variant, drawn) for drawn in draws]
    expected = np.quantile(deltas, [0.05, 0.95])
    interval = paired_bootstrap(baseline, variant, samples=samples, seed=7, level=0.9)
    assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=1e-10)


def test_interval_agrees_with_scipy_given_the_same_seed():
    baseline, variant = make_sides(40)
    expected = scipy.stats.bootstrap(
        (np.arange(40),),
        lambda drawn: delta_of(baseline, variant, drawn),
        vectorized=False,
        n_resamples=2000,
        paired=True,
        method="percentile",
        random_state=np.random.default_rng(5),
    ).confidence_interval
    interval = paired_bootstrap(baseline, variant, seed=5)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-10)


def test_delta_is_that_of_the_summed_matrices():
    baseline, variant = make_sides(9)
    assert paired_bootstrap(baseline, variant).delta == pytest.approx(delta_of(baseline, variant, np.arange(9)))


def test_equal_sides_differ_by_exactly_zero():
    baseline, _ = make_sides(9)
    assert paired_bootstrap(baseline, baseline.copy()) == Interval(0.0, 0.0, 0.0)


@pytest.mark.parametrize("seed", range(4))
def test_swapped_sides_flip_all_signs(seed):
    baseline, variant = make_sides(9, seed)
    delta, low, high = numbers_of(paired_bootstrap(baseline, variant, seed=seed))
    assert numbers_of(paired_bootstrap(variant, baseline, seed=seed)) == pytest.approx((-delta, -high, -low))


def test_common_difficulty_of_the_images_does_not_widen_the_interval():
    hits = np.array([100, 500, 900, 300, 700])
    baseline, variant = np.zeros((2, 5, 2, 2), dtype=np.int64)
    for side, gain in ((baseline, 0), (variant, 10)):  # ten pixels of 1000 in every image
        side[:, 0, 0], side[:, 0, 1] = hits + gain, 1000 - hits - gain
    interval = paired_bootstrap(baseline, variant)
    assert numbers_of(interval) == pytest.approx((0.5, 0.5, 0.5))  # of two classes, the second has IoU 0


def test_one_image_gives_an_interval_without_width():
    interval = paired_bootstrap(*make_sides(1))
    assert interval.low == interval.delta == interval.high != 0


def test_class_counts_only_in_draws_that_have_it():
    baseline, variant = np.zeros((2, 2, 2, 2), dtype=np.int64)
    baseline[0, 0, 0] = variant[0, 0, 0] = 10  # image 0 has class 0 only, and both sides are right
    baseline[1, 1] = (0, 10)
    variant[1, 1] = (10, 0)  # image 1 has class 1 only, and the variant takes it for class 0
    # draws 00, 01 and 11: 100 − 100, mean(10/20, 0) − 100, mean(0, 0) − 100
    assert numbers_of(paired_bootstrap(baseline, variant, level=0.9)) == pytest.approx((-75, -100, 0))


def test_draws_without_a_labelled_pixel_are_left_out():
    baseline, variant = (np.concatenate([side, np.zeros_like(side)]) for side in make_sides(1))
    interval = paired_bootstrap(baseline, variant)
    assert interval.low == interval.delta == interval.high


def test_images_without_any_label_give_nan():
    nothing = np.zeros((3, 2, 2), dtype=np.int64)
    assert np.isnan(numbers_of(paired_bootstrap(nothing, nothing))).all()


def test_equal_seeds_give_equal_intervals():
    sides = make_sides(9)
    assert paired_bootstrap(*sides, seed=3) == paired_bootstrap(*sides, seed=3)


def test_other_seed_gives_other_draws():
    sides = make_sides(9)
    assert paired_bootstrap(*sides, seed=3) != paired_bootstrap(*sides, seed=4)


def test_higher_level_gives_a_wider_interval():
    sides = make_sides(9)
    narrow, wide = (paired_bootstrap(*sides, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_inputs_are_not_changed():
    sides = make_sides(9)
    copies = [side.copy() for side in sides]
    paired_bootstrap(*sides)
    assert all(np.array_equal(side, copy) for side, copy in zip(sides, copies))


@pytest.mark.parametrize(
    ("low", "high", "excludes"),
    [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.1, False), (float("nan"), float("nan"), False)],
)
def test_interval_excludes_zero_where_it_lies_on_one_side(low, high, excludes):
    assert Interval(0.0, low, high).excludes_zero is excludes


@pytest.mark.parametrize("shape", [(3, 2, 3), (2, 2), (0, 2, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match=r"expected twice confusion matrices \(I, C, C\)"):
        paired_bootstrap(np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64))


def test_different_numbers_of_images_are_refused():
    baseline, variant = make_sides(4)
    with pytest.raises(ShapeError, match=r"got \(4, 5, 5\) and \(3, 5, 5\)"):
        paired_bootstrap(baseline, variant[:3])


def test_images_in_another_order_are_refused():
    baseline, variant = make_sides(4)
    with pytest.raises(OptionError, match="those of image 1 differ; pass the same images in the same order"):
        paired_bootstrap(baseline, variant[[0, 2, 1, 3]])


@pytest.mark.parametrize("samples", [0, -5])
def test_number_of_samples_is_checked(samples):
    with pytest.raises(OptionError, match=f"samples must be 1 or more, got {samples}"):
        paired_bootstrap(*make_sides(2), samples=samples)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, float("nan")])
def test_level_is_checked(level):
    with pytest.raises(OptionError, match=f"level must lie between 0 and 1, got {level}"):
        paired_bootstrap(*make_sides(2), level=level)
