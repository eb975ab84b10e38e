"""`compressor sweep`: its points are prunes that were benched, and it goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tinyencoders as encoders
import tinylanguage as tiny
import torch
from command import Ended, command

import compressor
from compressor.errors import CompressorError
from compressor.recipe.model import load
from compressor.recipe.run import run_recipe
from compressor.report import Report
from compressor.step import RunOptions
from compressor.steps.prune import Prune
from compressor.steps.sweep import Sweep

TEXTS = encoders.texts(80)
GRID = "0:0.75:0.25"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, and pairs scored by its own cosines: dense, it ranks them perfectly."""
    root = tmp_path_factory.mktemp("made")
    model = encoders.encoder()
    model.save_pretrained(root / "dense")
    tokenizer = tiny.save_tokenizer(root / "dense", frames=True)
    with torch.no_grad(), (root / "sts.jsonl").open("w") as file:
        for first, second in zip(TEXTS[:40], TEXTS[40:], strict=True):
            one, other = (
                model(torch.tensor([tokenizer(text)["input_ids"]])).last_hidden_state[0].mean(dim=0)
                for text in (first, second)
            )
            score = float(torch.cosine_similarity(one, other, dim=0))
            file.write(json.dumps({"text": first, "text2": second, "score": score}) + "\n")
    return root


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dense").symlink_to(made / "dense")
    Path("sts.jsonl").symlink_to(made / "sts.jsonl")


def swept(**fields: Any) -> Report:
    return compressor.sweep("dense", **{"data": ["sts.jsonl"], "grid": GRID, **fields})


def points(report: Report, **wanted: Any) -> list[dict[str, Any]]:
    rows = [dict(row) for row in report.tables["points"]]
    return [row for row in rows if wanted.items() <= row.items()]


def files(folder: str) -> dict[str, bytes]:
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def ended(*words: str) -> Ended:
    return command("sweep", "dense", "--data", "sts.jsonl", *words)


def test_a_point_is_what_a_bench_of_the_pruned_checkpoint_measures() -> None:
    report = swept(patterns="2:4", random=False, drop="100pt")

    for pattern in ("0.5", "2:4"):
        compressor.prune("dense", sparsity=pattern, output=f"pruned-{pattern}")
        bench = compressor.bench(
            f"pruned-{pattern}", against="dense", data=["sts.jsonl"], speed=False
        )
        [row] = [
            row
            for row in bench.tables["metrics"]
            if row["metric"] == "spearman" and row["model"] != "dense"
        ]
        [point] = points(report, pattern=pattern, metric="spearman")
        assert point["value"] == row["value"]
        assert (point["low"], point["high"]) == (row["low"], row["high"])
        assert point["drop"] == -row["difference"]
        assert (point["drop_low"], point["drop_high"]) == (
            -row["difference_high"],
            -row["difference_low"],
        )
        apart = {row["metric"]: row["value"] for row in bench.tables["distances"]}
        own = {
            row["metric"]: row["value"]
            for row in report.tables["distances"]
            if row["pattern"] == pattern
        }
        assert own == apart


def test_the_first_violation_is_halved_and_what_is_recommended_lies_below_it() -> None:
    report = swept(drop="10pt", output="out")

    facts = report.summary
    drops = {row["sparsity"]: row["drop"] for row in points(report, curve="magnitude global")}
    essential, upper = facts["essential_sparsity"], facts["upper"]
    assert isinstance(essential, float)
    assert isinstance(upper, float)
    assert upper - essential <= 0.125
    assert all(drop <= 0.1 for sparsity, drop in drops.items() if sparsity <= essential)
    assert drops[upper] > 0.1
    assert facts["recommended"] == f"{essential:g}"
    assert {row["curve"] for row in report.tables["points"]} == {
        "magnitude global",
        "random global",
    }


def test_zeros_of_each_tensor_add_up_to_the_sparsity_of_the_point() -> None:
    report = swept(random=False, scope=["layer"])

    for row in report.tables["density"]:
        assert row["sparsity"] == pytest.approx(float(str(row["pattern"])), abs=1e-3)
    sparsities = [row["sparsity"] for row in points(report, kind="grid")]
    assert sparsities == pytest.approx([0.25, 0.5, 0.75], abs=1e-3)


def test_a_sweep_that_goes_on_ends_as_one_that_was_never_interrupted() -> None:
    swept(output="whole")
    swept(output="broken")
    kept = sorted(Path("broken/points").iterdir())
    for file in kept[1::2]:
        file.unlink()
    (kept[0]).write_text(kept[0].read_text().replace('"key": "', '"key": "other'))
    Path("broken/points/1-magnitude-global-0.9.json").write_text("{}")
    Path("broken/report.json").unlink()

    swept(output="broken", resume=True)

    assert files("broken") == files("whole")
    assert "1-dense.json" in {path.name for path in kept}


def test_a_point_is_taken_only_where_all_that_it_depends_on_is_equal() -> None:
    swept(output="out", random=False)
    file = Path("out/points/1-magnitude-global-0.5.json")
    planted = json.loads(file.read_text())
    planted["asked"][0]["metrics"][0]["statistic"]["first"] = [0.0] * 40
    file.write_text(json.dumps(planted))

    taken = swept(output="out", random=False, resume=True)
    anew = swept(output="out", random=False, resume=True, skip=["*.0.*"])

    [point] = points(taken, pattern="0.5")
    assert point["value"] is None
    assert point["status"] == "violated"
    assert any("not a finite number" in note for note in taken.notes)
    assert taken.summary["essential_sparsity"] < 0.5  # type: ignore[operator]  # a float
    [point] = points(anew, pattern="0.5")
    assert point["value"] is not None


def test_a_folder_with_a_sweep_in_it_is_not_overwritten_unasked() -> None:
    swept(output="out")

    assert "error[OUT-EXISTS]" in ended("--grid", GRID, "--output", "out").err


def test_what_is_recommended_is_a_recipe_that_runs() -> None:
    report = swept(output="out", drop="60pt", seed=3, num_samples=30)

    recipe = load("out/recommended.yaml")
    outcome = run_recipe("out/recommended.yaml", [], RunOptions(output=Path("run")))

    prune = recipe.steps[0]
    assert isinstance(prune, Prune)
    assert str(prune.sparsity) == report.summary["recommended"]
    [gate] = outcome.gates
    assert gate.metric == "sts/spearman"
    assert gate.baseline == report.summary["dense_value"]


def test_nothing_is_recommended_where_nothing_can_go() -> None:
    swept(output="out", drop="100pt")

    report = swept(output="out", drop="0pt", overwrite=True)

    assert report.summary["recommended"] is None
    assert str(report.summary["sentence"]).startswith("Prune nothing of dense")
    assert not Path("out/recommended.yaml").exists()


def test_another_metric_may_decide_and_several_models_stand_side_by_side(made: Path) -> None:
    encoders.encoder(seed=1).save_pretrained("other")
    tiny.save_tokenizer(Path("other"), frames=True)

    report = compressor.sweep(
        "dense", "other", data=["sts.jsonl"], grid="0:0.5:0.25", metric="sts/spearman"
    )

    assert {row["model"] for row in report.tables["points"]} == {"dense", "other"}
    assert [row["model"] for row in report.tables["curves"]] == ["dense"] * 2 + ["other"] * 2


@pytest.mark.parametrize(
    ("words", "id"),
    [
        (["--grid", "0.5:0.1:0.1"], "RANGE"),
        (["--resolution", "0.1"], "SWEEP-RESOLUTION"),
        (["--resolution", "2:4"], "USAGE"),
        (["--patterns", "0.5"], "USAGE"),
        (["--drop", "1"], "USAGE"),
        (["--metric", "sts/pearson", "--grid", GRID], "SWEEP-METRIC"),
        (["--only", "nothing*"], "RECIPE-NO-MATCH"),
    ],
)
def test_what_cannot_be_done_is_refused(words: list[str], id: str) -> None:
    found = ended(*words)

    assert found.code == 2
    assert f"error[{id}]" in found.err
    if id == "SWEEP-METRIC":
        assert "sts/spearman" in found.err


def test_without_data_there_is_nothing_to_sweep() -> None:
    with pytest.raises(CompressorError) as error:
        compressor.sweep("dense")

    assert error.value.id == "SWEEP-NOTHING"


def test_patterns_may_stand_in_one_word_or_in_several() -> None:
    fields = [{"patterns": "2:4,4:8"}, {"patterns": ["2:4", "4:8"]}, {"patterns": ["2:4,4:8"]}]

    found = [Sweep.model_validate(each).patterns for each in fields]

    assert found[0] == found[1] == found[2]
    assert [str(each) for each in found[0]] == ["2:4", "4:8"]
