"""Intervals by person or clip: they cover what they say they cover, and agree with drawing row by row."""

import numpy as np
import pytest

from tokenhmr.evaluation import intervals
from tokenhmr.evaluation.intervals import estimate, level


def clustered(seed, *, clusters=20):
    """Rows of clips: each clip has a level of its own (spread 20), rows around it vary little (5); the mean of all is 100."""
    chance = np.random.default_rng(seed)
    sizes = chance.integers(5, 40, size=clusters)
    names = [f"clip{number}" for number, size in enumerate(sizes) for _ in range(size)]
    own = chance.normal(0, 20, size=clusters)
    return 100 + np.repeat(own, sizes) + chance.normal(0, 5, size=len(names)), names


def test_intervals_by_clip_cover_the_truth_as_often_as_they_say_and_by_row_do_not():
    held = {"clip": 0, "row": 0}
    trials = 300
    for seed in range(trials):
        values, names = clustered(seed)
        each = [str(place) for place in range(len(values))]
        for kind, clusters in (("clip", names), ("row", each)):
            found = estimate(values, clusters, draws=300, seed=seed)
            held[kind] += found.low <= 100 <= found.high
    # Of 300 trials at 95 %, all but one in a thousand lie within 4.1 %; ratios of unequal clips cost a little.
    assert 0.90 < held["clip"] / trials < 0.99
    assert held["row"] / trials < 0.5


def test_the_interval_is_that_of_drawing_clips_with_all_their_rows():
    values, names = clustered(3, clusters=7)
    found = estimate(values, names, draws=200, seed=5)
    persons = sorted(set(names))
    rows = [[value for value, name in zip(values, names, strict=True) if name == person] for person in persons]
    drawn = np.random.default_rng(5).integers(len(persons), size=(200, len(persons)))
    means = [np.mean([value for person in line for value in rows[person]]) for line in drawn]
    low, high = np.quantile(means, (level(7), 1 - level(7)))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)
    assert found.mean == pytest.approx(np.mean(values)) and (found.rows, found.clusters) == (len(values), 7)


def test_order_of_rows_and_names_of_clips_leave_no_trace(monkeypatch):
    values, names = clustered(1)
    order = np.random.default_rng(0).permutation(len(values))
    found = estimate(values, names, draws=400, seed=0)
    mixed = estimate(values[order], [names[place] for place in order], draws=400, seed=0)
    assert (mixed.low, mixed.high) == pytest.approx((found.low, found.high), rel=1e-12)
    monkeypatch.setattr(intervals, "_AT_ONCE", 70)  # a few draws at a time, as for tens of thousands of people
    assert estimate(values, names, draws=400, seed=0) == found


def test_many_independent_rows_give_the_interval_of_the_textbook():
    values = np.random.default_rng(0).normal(100, 20, size=400)
    found = estimate(values, [str(place) for place in range(400)], draws=4000, seed=0)
    assert found.high - found.low == pytest.approx(2 * 1.966 * values.std(ddof=1) / 20, rel=0.06)
    assert level(10_000) == pytest.approx(0.025, abs=1e-4) and level(5) < level(20) < 0.025


def test_few_are_marked_and_one_clip_has_no_interval():
    alone = estimate(np.array([1.0, 2.0]), ["a", "a"], draws=100, seed=0)
    assert (alone.mean, alone.low, alone.high, alone.small) == (1.5, None, None, True)
    values, names = clustered(0)
    assert not estimate(values, names, draws=100, seed=0).small
    assert estimate(values, ["a", "b", *["c"] * (len(values) - 2)], draws=100, seed=0).small
    assert estimate(values[:29], names[:29], draws=100, seed=0).small


@pytest.mark.parametrize(
    ("values", "clusters", "draws", "words"),
    [
        ([], [], 100, "0 values"),
        ([1.0], ["a", "b"], 100, "1 values for 2 names"),
        ([1.0, float("nan")], ["a", "b"], 100, "finite"),
        ([1.0, 2.0], ["a", "b"], 99, "99 draws"),
    ],
)
def test_what_has_no_interval_is_refused(values, clusters, draws, words):
    with pytest.raises(ValueError, match=words):
        estimate(np.array(values), clusters, draws=draws, seed=0)
