"""The paired bootstrap against a slow loop over the same draws with numerical derivatives, and cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.metrics import bootstrap
from segearth_ov3.metrics.bootstrap import Interval, holm, paired_bootstrap
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


def error_of(baseline: np.ndarray, variant: np.ndarray, drawn: np.ndarray) -> float:
    """Standard error of the difference by numerical derivatives: what one image more of each kind would change."""
    step, images = 1e-4, len(drawn)
    sums = [side[drawn].sum(axis=0).astype(np.float64) for side in (baseline, variant)]

    def delta(more: np.ndarray, other: np.ndarray) -> float:
        before, after = (100 * compute_scores(each).miou for each in (sums[0] + more, sums[1] + other))
        return after - before

    nothing = np.zeros_like(sums[0])
    changes = [(delta(step * baseline[i], step * variant[i]) - delta(nothing, nothing)) / step for i in drawn]
    return float(np.sqrt(images) * np.std(changes, ddof=1))


@pytest.mark.parametrize(("images", "samples"), [(12, 60), (40, 30)])
def test_interval_agrees_with_a_loop_over_the_same_draws(images, samples):
    baseline, variant = make_sides(images)
    everything = np.arange(images)
    delta, error = delta_of(baseline, variant, everything), error_of(baseline, variant, everything)
    draws = np.random.default_rng(7).integers(0, images, size=(samples, images))
    sizes = np.sort(
        [abs(delta_of(baseline, variant, drawn) - delta) / error_of(baseline, variant, drawn) for drawn in draws]
    )
    reach = error * sizes[math.ceil(0.9 * (samples + 1)) - 1]
    interval = paired_bootstrap(baseline, variant, samples=samples, seed=7, level=0.9)
    assert numbers_of(interval) == pytest.approx((delta, delta - reach, delta + reach), rel=1e-4)
    assert interval.p == pytest.approx((1 + (sizes >= abs(delta) / error).sum()) / (1 + samples))


def test_draws_in_several_blocks_are_those_of_one_generator():
    images, samples = 700, 1600  # two blocks
    blocks = np.concatenate(list(bootstrap._resamples(images, samples, seed=3)))
    draws = np.random.default_rng(3).integers(0, images, size=(samples, images))
    assert np.array_equal(blocks, [np.bincount(drawn, minlength=images) for drawn in draws])


def test_delta_is_that_of_the_summed_matrices():
    baseline, variant = make_sides(9)
    assert paired_bootstrap(baseline, variant).delta == pytest.approx(delta_of(baseline, variant, np.arange(9)))


def test_equal_sides_differ_by_exactly_zero():
    baseline, _ = make_sides(9)
    assert paired_bootstrap(baseline, baseline.copy()) == Interval(0.0, 0.0, 0.0, 1.0)


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


@pytest.mark.parametrize("images", [1, 2])
def test_one_or_two_images_say_nothing_about_others(images):
    interval = paired_bootstrap(*make_sides(images))
    assert (interval.low, interval.high) == (-100, 100)
    assert interval.p > 0.05


def test_class_counts_only_in_draws_that_have_it():
    baseline, variant = np.zeros((2, 2, 2, 2), dtype=np.int64)
    baseline[0, 0, 0] = variant[0, 0, 0] = 10  # image 0 has class 0 only, and both sides are right
    baseline[1, 1] = (0, 10)
    variant[1, 1] = (10, 0)  # image 1 has class 1 only, and the variant takes it for class 0
    counted = bootstrap._hits_and_unions(baseline), bootstrap._hits_and_unions(variant)
    draws = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    # 100 − 100, mean(10/20, 0) − 100, mean(0, 0) − 100
    assert bootstrap._deltas_and_errors(draws, *counted)[0] == pytest.approx([0, -75, -100])


def test_draws_without_a_labelled_pixel_are_left_out():
    """Draws of empty images only have no mIoU; the others decide."""
    baseline, variant = (np.concatenate([side, np.zeros_like(side[:6])]) for side in make_sides(6))
    interval = paired_bootstrap(baseline, variant, samples=400)
    assert np.isfinite(numbers_of(interval)).all()
    assert interval.delta == pytest.approx(delta_of(baseline, variant, np.arange(6)))


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
    assert Interval(0.0, low, high, 0.5).excludes_zero is excludes


@pytest.mark.parametrize("seed", range(30))
def test_interval_excludes_zero_exactly_where_p_is_small(seed):
    baseline, variant = make_sides(25, seed)
    interval = paired_bootstrap(baseline, variant, samples=199)
    assert interval.excludes_zero == (interval.p <= 0.05)


def test_difference_between_the_sides_is_found():
    baseline, _ = make_sides(30)
    better = baseline.copy()
    better[:, 0, 0] += better[:, 0, 1] // 2
    better[:, 0, 1] -= better[:, 0, 1] // 2
    interval = paired_bootstrap(baseline, better, samples=999)
    assert interval.low > 0
    assert interval.p == 1 / 1000


@pytest.mark.parametrize(
    ("p_values", "rows", "expected"),
    [
        ([0.01, 0.04, 0.03], None, [0.03, 0.06, 0.06]),
        ([0.5, 0.6], None, [1.0, 1.0]),
        ([0.01, 0.04], 10, [0.1, 0.36]),
        ([], None, []),
    ],
)
def test_holms_correction_by_hand(p_values, rows, expected):
    assert holm(p_values, rows) == pytest.approx(expected)


def test_holms_correction_of_equal_values_is_bonferronis():
    """Where all values are equal, Holm's and Bonferroni's corrections are the same."""
    assert holm([0.004] * 7) == pytest.approx([0.028] * 7)


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
