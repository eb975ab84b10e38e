"""Gates of a recipe: refused at their place before anything runs, and kept with their line."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe_bench import BENCHES
from recipe_steps import DONE, tiny_checkpoint

from compressor.errors import UsageError
from compressor.recipe.model import Recipe, load
from compressor.recipe.run import run_recipe
from compressor.step import RunOptions

HEAD = "version: 1\nsource: models/tiny\ndata: {sts: dev.csv}\n"
STEPS = "steps: [copy: , bench: {data: [sts, 'python:topics']}]\n"


def loaded(tmp_path: Path, gates: str, steps: str = STEPS) -> Recipe:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"{HEAD}{steps}gates:\n{gates}\n")
    return load(str(path), (), BENCHES)


def refusal(tmp_path: Path, gates: str, steps: str = STEPS) -> UsageError:
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, gates, steps)
    return caught.value


def test_a_gate_remembers_its_line(tmp_path: Path) -> None:
    recipe = loaded(
        tmp_path,
        "  - {metric: sts/spearman, max-drop: 1pt}\n"
        "  - id: zeros\n"
        "    metric: copy/zeros\n"
        '    op: ">="\n'
        "    value: 3\n",
    )

    first, second = recipe.gates
    assert (first.gate.name, str(first.gate.max_drop)) == ("sts-spearman", "1pt")
    assert (second.gate.name, second.gate.op, second.gate.value) == ("zeros", ">=", 3.0)
    places = [each.at.removeprefix(f"{tmp_path}/recipe.yaml:") for each in recipe.gates]
    assert places == ["6:5", "7:5"]


@pytest.mark.parametrize(
    "metric", ["sts/spearman", "topics/accuracy", "copy/zeros", "sts/bits-per-byte"]
)
def test_a_gate_may_ask_for_what_the_steps_measure(tmp_path: Path, metric: str) -> None:
    recipe = loaded(tmp_path, f'  - {{metric: {metric}, op: "<=", value: 1}}')

    assert recipe.gates[0].gate.metric == metric


@pytest.mark.parametrize(
    ("gates", "place", "found"),
    [
        pytest.param("  []", "6:3", "an empty list", id="F29 empty"),
        pytest.param("  sts/spearman", "6:3", "no list", id="text"),
        pytest.param("", "5:7", "no list", id="nothing"),
        pytest.param("  - sts/spearman", "6:5", "expected `metric: …`", id="text as gate"),
        pytest.param(
            '  - {metric: sts/a, op: "~", value: 1}', "6:25", "one of: <=", id="F29 operator"
        ),
        pytest.param("  - {metric: sts/a}", "6:5", "either `max_drop`", id="F29 no criterion"),
        pytest.param(
            '  - {metric: sts/a, op: "<=", value: 1, max-drop: 1pt}', "6:5", "either", id="F29 both"
        ),
        pytest.param('  - {metric: sts/a, op: "<="}', "6:5", "together", id="operator alone"),
        pytest.param("  - {metric: sts/a, max-drop: 1}", "6:31", "expected a drop", id="no unit"),
        pytest.param(
            '  - {metric: sts/a, op: "<=", value: .nan}', "6:38", "a number", id="NaN as limit"
        ),
        pytest.param("  - {max-drop: 1pt}", "6:5", "no `metric`", id="no metric"),
        pytest.param("  - {metric: spearman, max-drop: 1pt}", "6:14", "spearman", id="no slash"),
        pytest.param(
            "  - {id: A B, metric: sts/a, max-drop: 1pt}", "6:10", "A B", id="id with a space"
        ),
        pytest.param("  - {metric: st/a, max-drop: 1pt}", "6:5", "`st`", id="other data"),
        pytest.param(
            '  - {metric: prune/sparsity, op: "<=", value: 1}', "6:5", "`prune`", id="other step"
        ),
        pytest.param(
            "  - {metric: copy/zeros, max-drop: 1pt}", "6:5", "copy/zeros", id="drop of a step"
        ),
        pytest.param(
            "  - {metric: sts/a, max-drop: 1pt}\n  - {metric: sts/a, max-drop: 2pt}",
            "7:5",
            ":6:5, expected one of each",
            id="duplicate id",
        ),
    ],
)
def test_a_wrong_gate_is_refused_at_its_place(
    tmp_path: Path, gates: str, place: str, found: str
) -> None:
    error = refusal(tmp_path, gates)

    assert (error.exit_code, error.id) == (2, "RECIPE-GATES")
    assert error.at == f"{tmp_path}/recipe.yaml:{place}"
    assert found in error.found
    assert 10 <= len(error.message) <= 160


def test_an_unknown_key_of_a_gate_is_told_with_what_was_meant(tmp_path: Path) -> None:
    error = refusal(tmp_path, "  - {metric: sts/a, max-drpo: 1pt}")

    assert (error.id, error.do) == ("RECIPE-UNKNOWN-KEY", "did you mean `max-drop`?")


def test_a_metric_near_a_known_one_is_told_with_what_was_meant(tmp_path: Path) -> None:
    error = refusal(tmp_path, "  - {metric: stss/a, max-drop: 1pt}")

    assert error.do == "did you mean `sts`?"


def test_a_metric_of_a_bench_needs_a_bench(tmp_path: Path) -> None:
    error = refusal(tmp_path, "  - {metric: sts/a, max-drop: 1pt}", "steps: [copy: ]\n")

    assert error.id == "RECIPE-GATES"
    assert "no step `bench`" in error.found


def test_gates_are_checked_before_the_source_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(f"{HEAD}{STEPS}gates: []\n")

    with pytest.raises(UsageError, match="RECIPE-GATES"):
        run_recipe("recipe.yaml", [], RunOptions(), catalogue=BENCHES)

    assert not Path("recipe-run").exists()


@pytest.mark.parametrize("dry_run", [False, True])
def test_required_gates_are_missed_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_checkpoint(Path("models/tiny"))
    Path("recipe.yaml").write_text("version: 1\nsource: models/tiny\nsteps: [look: ]\n")
    DONE.clear()

    with pytest.raises(UsageError, match="RECIPE-GATES") as caught:
        run_recipe(
            "recipe.yaml", [], RunOptions(dry_run=dry_run), catalogue=BENCHES, require_gates=True
        )

    assert caught.value.exit_code == 2
    assert DONE == []
    assert not Path("recipe-run").exists()
