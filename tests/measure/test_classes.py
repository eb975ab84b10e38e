import math

import numpy as np
import pytest

from compressor.errors import InputError
from compressor.measure import classes

NAMES = {0: "Cat", 1: "Dog", 2: "Emu"}


def values(metrics):
    return {metric.name: metric.statistic.value for metric in metrics}


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["Dog", "Cat", "Emu"], NAMES),
        (["dog", "CAT", "emu"], NAMES),
        (["1", "0", "2"], NAMES),
        ([1, 0, 2], NAMES),
        (["LABEL_1", "LABEL_0", "LABEL_2"], NAMES),
        (["7", "5", "3"], {0: "5", 1: "7", 2: "3"}),
    ],
)
def test_a_label_is_a_name_in_any_case_or_a_number(labels, names):
    assert classes.class_numbers(labels, names, "data")[0].tolist() == [1, 0, 2]


@pytest.mark.parametrize("labels", [["Dog", "yak"], ["Dog", "0"], [0, 3], [-1]])
def test_labels_that_no_one_rule_reads_are_refused(labels):
    with pytest.raises(InputError, match="DATA-LABELS") as error:
        classes.class_numbers(labels, NAMES, "data")

    assert "Cat, Dog, Emu" in error.value.found


def test_a_name_of_two_classes_names_neither():
    with pytest.raises(InputError, match="DATA-LABELS"):
        classes.class_numbers(["crane"], {0: "crane", 1: "crane"}, "data")


def test_five_of_six_classes_are_forgiven():
    logits = np.array([[6.0, 5, 4, 3, 2, 1]] * 6)

    found = values(classes.scores(logits, np.arange(6), ""))

    assert found["accuracy"] == pytest.approx(1 / 6)
    assert found["top5-accuracy"] == pytest.approx(5 / 6)


@pytest.mark.parametrize("among", [1, 2, 5])
def test_a_label_is_right_where_a_stable_sort_puts_it_among_the_first(among):
    random = np.random.default_rng(among)
    logits = random.integers(0, 4, (300, 7)).astype(np.float32)
    labels = random.integers(0, 7, 300)

    found = classes.right(logits, labels, among)

    ranked = [sorted(range(7), key=lambda each: -row[each]) for row in logits.tolist()]
    wanted = [label in order[:among] for label, order in zip(labels, ranked, strict=True)]
    assert found.tolist() == wanted
    assert 0 < found.mean() < 1


def test_five_classes_have_no_top_five():
    assert "top5-accuracy" not in values(classes.scores(np.eye(5), np.arange(5), ""))


def test_distances_against_sums_by_hand():
    dense = np.log([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    other = np.log([[0.25, 0.5, 0.25], [0.1, 0.8, 0.1]])

    found = values(classes.distances(dense, other, np.array([0, 1]), ""))

    apart = 0.5 * math.log(2) + 0.25 * math.log(0.5)
    assert found["kl"] == pytest.approx(apart / 2)
    assert found["kl-p99"] == pytest.approx(apart)
    assert found["flips"] == 0.5
    assert found["top1-agreement"] == 0.5


def test_flips_are_told_by_their_direction():
    dense, other = np.eye(3)[[0, 0, 2]], np.eye(3)[[1, 1, 1]]

    metrics = {each.name: each for each in classes.distances(dense, other, np.array([0, 1, 0]), "")}

    assert "1 from right to wrong, 1 from wrong to right" in metrics["flips"].definition


def test_one_nan_leaves_no_number():
    dense, labels = np.eye(6), np.arange(6)
    other = dense.copy()
    other[3, 2] = math.nan

    found = [*classes.scores(other, labels, ""), *classes.distances(dense, other, labels, "")]

    assert [metric.name for metric in found if math.isfinite(metric.statistic.value)] == []
    assert "1 of 6 items" in classes.collapse(other, labels)


def test_one_class_for_all_is_a_collapse_only_where_labels_differ():
    same = np.tile([0.0, 1.0], (4, 1))

    assert "class 1 for all 4 items" in classes.collapse(same, np.array([0, 1, 0, 1]))
    assert not classes.collapse(same, np.array([1, 1, 1, 1]))
    assert not classes.collapse(np.eye(2), np.array([0, 1]))
