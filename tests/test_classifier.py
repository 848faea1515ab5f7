"""The classifier: the lowest loss there is, the same each time, from folders that a person sorted."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import binary_cross_entropy_with_logits

from models import classifier
from models.classifier import Settings, loss_and_gradient
from models.heads import read_head
from models.judging import area_under_curve, calibration_error, judge
from models.labelled import find_examples, held_out, near_duplicates
from models.ngrams import ngram_features, ngram_matrix
from models.runs import RunFolder
from models.standardising import scaled, scaling
from models.threads import one_thread
from models.training_pictures import open_triplets
from shards.tokenizer import ByteTokenizer
from shards.triplet import TripletSpec
from tests.tiny_datasets import write_triplets, write_windows

GOOD = ("the old oak stands", "a tall elm grows", "the ash is in leaf", "a young beech bends", "the lime is in flower")
BAD = ("buy cheap pills", "click here now", "win a free phone", "best price online", "hot deals today")


def sorted_pictures(folder: Path, count: int = 24, seed: int = 0) -> Path:
    """Green noise under `leaf`, blue noise under `sky` and grey noise under `stone`, in folders within them too."""
    rng = np.random.default_rng(seed)
    for label, colour in (("leaf", (70, 140, 60)), ("sky", (80, 120, 200)), ("stone/wet", (110, 110, 110))):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            noise = rng.normal(colour, 45, (12, 12, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(folder / label / f"{number:02d}.png")
    return folder


def sorted_texts(folder: Path, count: int = 30, seed: int = 0) -> Path:
    """Good texts as files and bad ones as lines of one file."""
    rng = np.random.default_rng(seed)
    (folder / "good").mkdir(parents=True)
    for number in range(count):
        (folder / "good" / f"{number}.txt").write_text(f"{'. '.join(rng.choice(GOOD, 3))}, seen {number} times.")
    lines = [json.dumps({"text": f"{'! '.join(rng.choice(BAD, 3))} {number}\u2028!"}) for number in range(count)]
    (folder / "bad.jsonl").write_text("\n".join(lines), "utf-8")
    return folder


def train(folder: Path, out: Path, *more: str) -> dict[str, object]:
    assert classifier.main([str(folder), "--out", str(out), *more]) == 0
    results = RunFolder(out).results()
    assert results is not None
    return results


def newton(x: NDArray[np.float64], y: NDArray[np.float64], penalty: float) -> float:
    """The lowest loss, found with second derivatives: w ← w − H⁻¹ ∇ until nothing changes."""
    x = np.hstack([x, np.ones((len(x), 1))])
    w = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-(x @ w)))
        slope = x.T @ (p - y) / len(y) + penalty * w
        curvature = (x.T * (p * (1 - p))) @ x / len(y) + penalty * np.eye(len(w))
        step = np.linalg.solve(curvature, slope)
        w -= step
        if np.abs(step).max() < 1e-13:
            break
    z = x @ w
    return float((np.logaddexp(0, z) - y * z).mean() + penalty / 2 * (w @ w))


@pytest.mark.parametrize("penalty", [0.1, 0.01, 0.0001])
def test_the_loss_is_that_of_newtons_method(tmp_path: Path, penalty: float):
    folder = sorted_pictures(tmp_path / "pictures")
    chosen = ["--topic", "leaf", "--features", "pixels", "--side", "4", "--penalty", str(penalty)]
    results = train(folder, tmp_path / "run", *chosen)
    examples = find_examples(folder, "leaf")
    features = classifier.design("pixels", 4, examples)
    first = near_duplicates(scaled(features, *scaling(features)), 0.8)
    rows = torch.from_numpy(np.flatnonzero(~held_out(examples, first, 0.2, 0)))
    x = scaled(features[rows], *scaling(features[rows])).numpy()
    y = np.array([float(examples[row].is_topic) for row in rows.tolist()])
    lowest = newton(x, y, penalty)
    assert lowest < 0.69
    assert lowest - 1e-12 <= float(str(results["loss"])) <= lowest + 1e-6


@pytest.mark.parametrize("is_sparse", [False, True])
def test_the_gradient_is_that_of_the_bernoulli_likelihood(is_sparse: bool):
    torch.manual_seed(0)
    x, y, w = torch.randn(9, 5).double(), torch.tensor([1.0, 0, 1] * 3).double(), torch.randn(6).double()
    w.requires_grad_()
    expected = binary_cross_entropy_with_logits(x @ w[:-1] + w[-1], y) + 0.3 / 2 * (w @ w)
    expected.backward()  # type: ignore[no-untyped-call]
    loss, slope = loss_and_gradient(w.detach(), x.to_sparse() if is_sparse else x, y, 0.3)
    assert float(loss) == pytest.approx(float(expected.detach()), abs=1e-14)
    torch.testing.assert_close(slope, w.grad)


def test_the_same_examples_give_the_same_head_whatever_their_folder_is_called(tmp_path: Path):
    chosen = ["--topic", "leaf", "--features", "pixels"]
    heads = []
    for name in ("one", "two"):
        train(sorted_pictures(tmp_path / name), tmp_path / f"run-{name}", *chosen)
        head = read_head(tmp_path / f"run-{name}" / "head.json")
        heads.append((head.weights.tobytes(), head.bias, head.about["figures"], head.about["data"]))
    assert heads[0] == heads[1]


class _Impatient:
    """Asks for an end after a few steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @property
    def asked(self) -> bool:
        self.left -= 1
        return self.left < 0

    def stop_if_asked(self) -> None:
        if self.left < 0:
            raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path: Path):
    folder = sorted_pictures(tmp_path / "pictures")
    chosen = ["--topic", "leaf", "--features", "pixels", "--report-steps", "1"]
    train(folder, tmp_path / "whole", *chosen)
    settings = Settings(folder, "leaf", tmp_path / "broken", "pixels", report_steps=1)
    examples = find_examples(folder, "leaf")
    run = RunFolder(settings.out)
    assert not run.start(classifier.configuration(settings, examples), settings.folder)
    with one_thread(), pytest.raises(KeyboardInterrupt):
        classifier.train(settings, run, examples, False, _Impatient(7))  # type: ignore[arg-type]
    assert run.load()["step"] == 8
    train(folder, tmp_path / "broken", *chosen)
    whole, broken = (
        [{name: row[name] for name in row if name != "seconds"} for row in RunFolder(tmp_path / name).metrics()]
        for name in ("whole", "broken")
    )
    assert whole == broken
    held = [read_head(tmp_path / name / "head.json") for name in ("whole", "broken")]
    assert held[0].weights.tobytes() == held[1].weights.tobytes()
    assert (tmp_path / "whole/results.json").read_bytes() == (tmp_path / "broken/results.json").read_bytes()


def test_pictures_are_told_apart_and_the_plots_are_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = sorted_pictures(tmp_path / "pictures")
    results = train(folder, tmp_path / "run", "--topic", "leaf", "--features", "pixels")
    held = results["held_out"]
    assert isinstance(held, dict)
    assert (held["accuracy"], held["auc"]) == (1.0, 1.0)
    for name in ("calibration.png", "loss.png"):
        assert (tmp_path / "run" / name).read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    judged = [str(folder / name) for name in ("leaf/00.png", "sky/00.png", "stone/wet/00.png")]
    assert classifier.main(["judge", str(tmp_path / "run/head.json"), *judged]) == 0
    scores = [float(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert scores[0] > 0.9
    assert max(scores[1:]) < 0.1


@pytest.mark.parametrize(("features", "penalty"), [("ngrams", "1e-4"), ("pixels", "0.01")])
def test_the_penalty_suits_the_features_unless_told(tmp_path: Path, features: str, penalty: str):
    folder = sorted_texts(tmp_path / "sorted") if features == "ngrams" else sorted_pictures(tmp_path / "sorted")
    chosen = ["--topic", "good" if features == "ngrams" else "leaf", "--features", features]
    left_out = train(folder, tmp_path / "left-out", *chosen)
    assert left_out == train(folder, tmp_path / "told", *chosen, "--penalty", penalty)
    assert left_out != train(folder, tmp_path / "other", *chosen, "--penalty", "0.001")


def test_a_head_of_texts_is_calibrated_unless_told_otherwise(tmp_path: Path):
    held_out = train(sorted_texts(tmp_path / "sorted"), tmp_path / "run", "--topic", "good")["held_out"]
    assert isinstance(held_out, dict)
    assert held_out["accuracy"] == 1.0
    assert held_out["calibration_error"] < 0.1


def test_good_texts_are_told_from_bad_ones(tmp_path: Path):
    folder = sorted_texts(tmp_path / "texts")
    results = train(folder, tmp_path / "run", "--topic", "good", "--penalty", "0.03", "--held-out", "0.4")
    held = results["held_out"]
    assert isinstance(held, dict)
    assert held["accuracy"] == 1.0
    head = read_head(tmp_path / "run/head.json")
    assert (head.topic, head.features, head.side, len(head.weights)) == ("good", "ngrams", 0, 1 << 18)
    scores = [head.score(ngram_matrix([text]).to_dense()[0].numpy()) for text in ("the elm is in leaf", "free pills")]
    assert scores[0] > 0.5 > scores[1]


def test_ngrams_have_a_place_a_sign_and_length_one():
    places, values = ngram_features("Oak, oak!", num_places=1 << 10)
    assert places.tolist() == sorted(set(places.tolist()))
    assert len(places) == 6, "oak, comma and mark; oak-comma, comma-oak, oak-mark"
    assert float(values @ values) == pytest.approx(1, abs=1e-6)
    assert ngram_features("OAK , OAK !", num_places=1 << 10)[1].tolist() == values.tolist()
    assert ngram_features("")[0].tolist() == []
    both = ngram_matrix(["Oak, oak!", "", "elm"], num_places=1 << 10).to_dense()
    np.testing.assert_array_equal(both[0, places].numpy(), values)
    assert both[1].count_nonzero() == 0


def test_near_duplicates_are_held_out_together():
    rng = np.random.default_rng(0)
    distinct = rng.normal(size=(40, 64))
    features = torch.from_numpy(np.concatenate([distinct, distinct + rng.normal(size=(40, 64)) * 0.05]))
    first = near_duplicates(features, 0.8)
    assert first.tolist() == [*range(40), *range(40)]
    chain = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [0.6, 0.8], [-1.0, 0.0]])
    assert near_duplicates(chain, 0.8).tolist() == [0, 0, 0, 0, 4], "joined by a chain"
    assert near_duplicates(chain.to_sparse(), 0.8).tolist() == [0, 0, 0, 0, 4]


def test_accuracy_order_and_calibration_are_counted():
    log_odds, labels = np.log([0.9, 0.8, 0.3, 0.2]) - np.log([0.1, 0.2, 0.7, 0.8]), np.array([1.0, 0, 1, 0])
    told = judge(log_odds, labels)
    assert (told["accuracy"], told["recall"], told["precision"], told["auc"]) == (0.5, 0.5, 0.5, 0.75)
    assert told["loss"] == pytest.approx(-np.log([0.9, 0.2, 0.3, 0.8]).mean())
    assert calibration_error(log_odds, labels) == pytest.approx((0.1 + 0.8 + 0.7 + 0.2) / 4)
    assert area_under_curve(np.zeros(4), labels) == 0.5, "ties count half"


def _empty(folder: Path) -> Path:
    (folder / "leaf").mkdir(parents=True)
    return folder


def _mixed(folder: Path) -> Path:
    (sorted_pictures(folder, 2) / "leaf" / "a.txt").write_text("oak")
    return folder


def _broken(folder: Path) -> Path:
    (sorted_pictures(folder, 2) / "leaf" / "00.png").write_bytes(b"\x89PNG no more")
    return folder


def _not_json(folder: Path) -> Path:
    (sorted_texts(folder, 2) / "bad.jsonl").write_text('{"text": 3}')
    return folder


@pytest.mark.parametrize(
    ("make", "more", "told"),
    [
        (lambda folder: folder, [], "no such folder; give one with a folder of examples for each label"),
        (_empty, [], "0 examples of 'leaf' and 0 of anything else (labels: none)"),
        (
            sorted_pictures,
            ["--topic", "tree"],
            "0 examples of 'tree' and 72 of anything else (labels: leaf, sky, stone)",
        ),
        (_mixed, [], "holds pictures and texts; give a folder with one of them"),
        (_broken, [], "leaf/00.png: cannot be read as a picture"),
        (_not_json, ["--topic", "good"], "bad.jsonl: cannot be read (TypeError: line 1: its text is no string)"),
        (sorted_pictures, ["--features", "ngrams"], "--features ngrams: the examples are pictures; give auto"),
        (sorted_texts, ["--topic", "good", "--features", "pixels"], "the examples are texts; give auto"),
        (lambda folder: sorted_pictures(folder, 1), [], "too few examples to train on some of each label"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: object, more: Sequence[str], told: str
):
    assert callable(make)
    folder = make(tmp_path / "examples")
    chosen = (
        ["--topic", "leaf", "--features", "pixels", *more] if "--features" not in more else ["--topic", "leaf", *more]
    )
    if "good" in more and "--features" not in more:
        chosen = list(more)
    assert classifier.main([str(folder), "--out", str(tmp_path / "run"), *chosen]) == 1
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--features", "smell"], "--features smell: must be one of auto, efficientnet-lite0, pixels, ngrams"),
        (["--held-out", "1"], "--held-out 1.0: must be above 0 and below 1"),
        (["--penalty", "0"], "--penalty 0: must be auto, or 1e-12 or more"),
        (["--penalty", "little"], "--penalty little: must be auto, or 1e-12 or more"),
        (["--penalty", "nan"], "--penalty nan: must be auto, or 1e-12 or more"),
    ],
)
def test_impossible_settings_are_a_matter_of_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str
):
    with pytest.raises(SystemExit) as ended:
        classifier.main([str(tmp_path), *more])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("oak", "no trained head (JSONDecodeError"),
        ("{}", "no trained head (KeyError: 'weights')"),
        ('{"topic": "a", "features": "smell", "side": 1, "bias": 0, "weights": "", "about": {}}', "features 'smell'"),
    ],
)
def test_what_is_no_head_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, told: str):
    (tmp_path / "head.json").write_text(content)
    assert classifier.main(["judge", str(tmp_path / "head.json"), "a.png"]) == 1
    assert told in capsys.readouterr().err


def built(folder: Path, is_split: bool) -> Path:
    """Triplets of green trees and of blue noise, each as a build of its own."""
    rng = np.random.default_rng(0)
    spec = TripletSpec(8, steps=2, mode="virtual")
    for label, colour in (("leaf", (70, 140, 60)), ("sky", (80, 120, 200))):
        noise = list(rng.normal(colour, 45, (40, 8, 8, 3)).clip(0, 255).astype(np.uint8))
        splits = {"train": noise[:30], "test": noise[30:]} if is_split else {"train": noise}
        write_triplets(folder / label / "triplets", spec, splits)
    return folder


@pytest.mark.parametrize("is_split", [False, True])
def test_pictures_are_learnt_from_shards(tmp_path: Path, is_split: bool):
    folder = built(tmp_path / "built", is_split)
    results = train(folder, tmp_path / "run", "--topic", "leaf", "--features", "pixels")
    assert isinstance(results["held_out"], dict)
    assert results["held_out"]["accuracy"] == 1.0
    data = read_head(tmp_path / "run" / "head.json").about["data"]
    if is_split:
        assert (data["train"], data["held_out"]) == ({"topic": 30, "other": 30}, {"topic": 10, "other": 10})
    else:
        assert data["train"]["topic"] + data["held_out"]["topic"] == 40
        assert 0 < data["held_out"]["topic"] < 20
    examples = find_examples(folder, "leaf")
    assert examples[0].open is not None
    dataset = open_triplets(folder / "leaf", "train")
    assert examples[0].digest == dataset[0]["key"][:32]
    np.testing.assert_array_equal(np.asarray(examples[0].open()), dataset[0]["clean"])


def test_texts_are_learnt_from_shards_beside_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = sorted_texts(tmp_path / "texts")
    texts = [f"{path.read_text()}" for path in sorted((folder / "good").iterdir())]
    for path in (folder / "good").iterdir():
        path.unlink()
    write_windows(folder / "good", 8, {"train": texts}, ByteTokenizer())
    examples = find_examples(folder, "good")
    assert sorted(example.text for example in examples if example.is_topic) == sorted(texts)
    assert len(examples) == 60
    held = train(folder, tmp_path / "run", "--topic", "good", "--penalty", "0.03", "--held-out", "0.4")["held_out"]
    assert isinstance(held, dict)
    assert held["accuracy"] == 1.0
    built(folder, False)
    assert classifier.main([str(folder), "--topic", "good", "--out", str(tmp_path / "other")]) == 1
    assert "holds pictures and texts" in capsys.readouterr().err


def test_a_text_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    train(sorted_texts(tmp_path / "texts"), tmp_path / "run", "--topic", "good")
    assert classifier.main(["judge", str(tmp_path / "run" / "head.json"), str(tmp_path / "nowhere.txt")]) == 1
    error = capsys.readouterr().err
    assert "nowhere.txt: cannot be read as text" in error
    assert error.count("\n") == 1
