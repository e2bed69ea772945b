import numpy as np
import pytest
import torch
from torch import nn

from rc_core.cells import PruneCell, TrainCell
from rc_core.checkpoints import CheckpointError
from rc_core.datasets import load_recipe_splits, load_split, prepare_digits
from rc_core.evaluation import accuracies_by_label_kind, accuracy, predict
from rc_core.examples import Examples
from rc_core.execution import Execution
from rc_core.finished import evaluate_finished, read_finished_record
from rc_core.labels import RandomizedLabels
from rc_core.recipes import PruneSchedule, Recipe, TrainSchedule
from rc_core.runs import run_cell
from rc_core.storage import LocalStorage


def given(labels: list[int], redrawn: list[int]) -> RandomizedLabels:
    return RandomizedLabels(np.array(labels), np.array(redrawn, dtype=bool))


def test_accuracies_by_hand():
    # Five kept, of which 2 0 1 are hit; five redrawn, of which two are hit as given (7 6) and three as they
    # were (7 . 7 8 .). The first redrawn label equals the true one by chance and counts for both.
    true_labels = np.array([2, 0, 1, 4, 5, 7, 7, 7, 8, 8])
    found = accuracies_by_label_kind(
        np.array([2, 0, 1, 3, 3, 7, 6, 7, 8, 0]),
        given([2, 0, 1, 4, 5, 7, 6, 1, 9, 9], [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]),
        true_labels,
    )
    assert found == {
        "train_accuracy": 0.5,
        "accuracy_kept": 0.6,
        "accuracy_redrawn": 0.4,
        "accuracy_true": 0.6,
    }


def test_kept_and_redrawn_may_alternate():
    found = accuracies_by_label_kind(
        np.array([1, 1, 1, 1]), given([1, 1, 2, 3], [1, 0, 1, 0]), np.array([1, 1, 1, 3])
    )
    assert found == {
        "train_accuracy": 0.5,
        "accuracy_kept": 0.5,
        "accuracy_redrawn": 0.5,
        "accuracy_true": 1.0,
    }


def test_no_example_of_a_kind_gives_none():
    predicted, labels = np.array([1, 2]), np.array([1, 3])
    assert accuracies_by_label_kind(predicted, given([1, 3], [0, 0]), labels) == {
        "train_accuracy": 0.5,
        "accuracy_kept": 0.5,
        "accuracy_redrawn": None,
        "accuracy_true": None,
    }
    assert accuracies_by_label_kind(predicted, given([1, 0], [1, 1]), labels) == {
        "train_accuracy": 0.5,
        "accuracy_kept": None,
        "accuracy_redrawn": 0.5,
        "accuracy_true": 0.5,
    }
    assert accuracy(np.array([], dtype=np.int64), np.array([], dtype=np.int64)) is None


def test_the_whole_is_the_weighted_mean_of_the_parts():
    rng = np.random.RandomState(1)
    redrawn = rng.random_sample(1_000) < 0.3
    labels, true_labels, predicted = rng.randint(10, size=(3, 1_000))
    found = accuracies_by_label_kind(predicted, RandomizedLabels(labels, redrawn), true_labels)
    kept, again = found["accuracy_kept"], found["accuracy_redrawn"]
    assert kept is not None
    assert again is not None
    share = redrawn.mean()
    assert found["train_accuracy"] == pytest.approx((1 - share) * kept + share * again, rel=1e-12)
    assert {type(value) for value in found.values()} == {float}  # not numpy's: they go into JSON


class Pixel(nn.Module):
    """Logits are a linear function of the mean of the first pixel's channels, after normalisation."""

    def __init__(self, weights: list[float], biases: list[float]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2, affine=False)
        self.weights = nn.Parameter(torch.tensor(weights))
        self.biases = nn.Parameter(torch.tensor(biases))
        self.modes: list[bool] = []
        self.sizes: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.modes.append(self.training)
        self.sizes.append(len(images))
        pixels = self.norm(images)[:, :, 0, 0].mean(dim=1, keepdim=True)
        return pixels * self.weights + self.biases


@pytest.mark.parametrize("number", [1, 499, 500, 1_003])
@pytest.mark.parametrize("training", [True, False])
def test_predictions_against_numpy(number, training):
    rng = np.random.RandomState(2)
    images = rng.randint(256, size=(number, 3, 2, 2)).astype(np.uint8)
    labels = rng.randint(3, size=number)
    model = Pixel([4.0, -2.0, 1.0], [-1.0, 1.0, 0.5])
    model.norm.running_mean.copy_(torch.tensor([0.25, 0.5]))
    model.norm.running_var.copy_(torch.tensor([4.0, 0.25]))
    model.train(training)
    predictions = predict(model, Examples(torch.from_numpy(images), torch.from_numpy(labels)))

    first = images[:, 0, 0, :].astype(float) / 255
    normed = (first - [0.25, 0.5]) / np.sqrt(np.array([4.0, 0.25]) + 1e-5)
    logits = normed.mean(axis=1)[:, None] * [4, -2, 1] + np.array([-1, 1, 0.5])
    top_two = np.sort(logits, axis=1)[:, -2:]
    assert np.diff(top_two, axis=1).min() > 1e-5  # no near ties: single precision cannot decide otherwise
    np.testing.assert_array_equal(predictions.classes, logits.argmax(axis=1))
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(number), labels]
    assert predictions.mean_loss == pytest.approx(losses.mean(), rel=1e-5)
    assert isinstance(predictions.mean_loss, float)
    assert predictions.classes.dtype == np.int64

    assert sum(model.sizes) == number
    assert set(model.modes) == {False}
    assert model.training == training
    assert model.norm.training == training
    assert model.norm.running_mean.tolist() == [0.25, 0.5]
    assert model.norm.num_batches_tracked.item() == 0
    assert model.weights.grad is None


def test_images_are_fractions_in_channel_order():
    images = torch.arange(2 * 2 * 3 * 2, dtype=torch.uint8).reshape(2, 2, 3, 2) * 5
    batch, labels = Examples(images, torch.tensor([7, 8])).batch(torch.tensor([1, 0, 1]))
    assert batch.shape == (3, 2, 2, 3)
    assert batch.dtype == torch.float32
    assert labels.tolist() == [8, 7, 8]
    for n, source in enumerate([1, 0, 1]):
        for c in range(2):
            wanted = images[source, :, :, c].numpy().astype(np.float32) / np.float32(255)
            np.testing.assert_array_equal(batch[n, c].numpy(), wanted)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert images.max().item() == 5 * 23  # the data themselves are as they were


# Finished cells, measured once more

RECIPE = Recipe(
    name="tiny",
    dataset="digits",
    num_train_examples=60,
    num_test_examples=40,
    depth=8,
    width=2,
    batch_norm_momentum=0.1,
    train=TrainSchedule(num_steps=12, batch_size=20),
    prune=PruneSchedule(num_steps=12, batch_size=20, min_update_probability=0.25),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished training, a finished pruning and the directory of their data."""
    root = tmp_path_factory.mktemp("finished")
    execution = Execution(device="cpu", report=lambda line: None, code_version="test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RCSWEEP_CACHE", str(root / "cache"))
        prepare_digits(root / "data")
        train, test = load_recipe_splits(RECIPE, data_dir=root / "data")
        parent, child = LocalStorage(root / "parent"), LocalStorage(root / "child")
        run_cell(TrainCell(randomization=0.5, seed=42), RECIPE, train, test, 10, parent, execution=execution)
        run_cell(
            PruneCell(randomization=0.5, seed=42, sparsity=0.8),
            RECIPE,
            train,
            test,
            10,
            child,
            parent=parent,
            execution=execution,
        )
        yield parent, child, root / "data"


def test_a_recipe_takes_the_first_examples_of_each_split(finished):
    train, test = load_recipe_splits(RECIPE, data_dir=finished[2])
    whole = load_split("digits", "train", data_dir=finished[2])
    np.testing.assert_array_equal(train.labels, whole.labels[:60])
    np.testing.assert_array_equal(train.images, whole.images[:60])
    assert (len(train.labels), len(test.labels), train.num_file_records) == (60, 40, 1_000)


@pytest.mark.parametrize("which", [0, 1])
def test_measuring_again_gives_the_recorded_figures(finished, which):
    folder, data = finished[which], finished[2]
    row = read_finished_record(folder)["row"]
    on_train = evaluate_finished(folder, "train", data_dir=data, device="cpu")
    assert on_train == {
        name: row[name]
        for name in (
            "cell_id",
            "train_accuracy",
            "accuracy_kept",
            "accuracy_redrawn",
            "accuracy_true",
            "train_loss",
        )
    }
    assert evaluate_finished(folder, "test", data_dir=data, device="cpu") == {
        "cell_id": row["cell_id"],
        "test_accuracy": row["test_accuracy"],
    }
    # 60 examples: every accuracy is a multiple of 1/60 (or of one over the redrawn ones).
    assert (row["train_accuracy"] * 60) == pytest.approx(round(row["train_accuracy"] * 60))


def test_only_finished_cells_can_be_measured(tmp_path):
    with pytest.raises(CheckpointError, match=r"no finished cell here \(record\.json is missing\)"):
        evaluate_finished(LocalStorage(tmp_path), "train")


def test_other_data_are_refused(finished, tmp_path):
    from rc_core.tfrecords import write_images

    for name, number in (("digits_train.tfrecord", 1_000), ("digits_test.tfrecord", 797)):
        write_images(tmp_path / name, np.zeros((number, 8, 8, 1), np.uint8), np.zeros(number, int))
    with pytest.raises(ValueError, match=r"the training file has SHA-256 \w+, but train-p0\.50-s42 was"):
        evaluate_finished(finished[0], "train", data_dir=tmp_path)
