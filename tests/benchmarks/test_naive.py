import statistics

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import naive
from benchmarks.naive_network import NaiveResNet
from rc_core.datasets import load_split
from rc_core.recipes import PruneSchedule, Recipe, TrainSchedule
from rc_core.resnet import ResNet

RECIPE = Recipe(
    name="test",
    dataset="digits",
    depth=8,
    width=4,
    batch_norm_momentum=0.1,
    train=TrainSchedule(num_steps=120, batch_size=32),
    prune=PruneSchedule(num_steps=60, batch_size=32, min_update_probability=0.25),
)


@pytest.fixture(scope="module")
def digits():
    split = load_split("digits", "train", num_examples=200)
    return naive.LabelledImages(split.images, split.labels)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return naive.build_network(RECIPE, in_channels=1, num_classes=10)


def test_items_are_scaled_images_and_labels():
    images = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3)
    image, label = naive.LabelledImages(images, np.array([7, 5]))[1]
    assert image.shape == (3, 2, 3)
    assert label == 5
    np.testing.assert_allclose(image.numpy(), images[1].transpose(2, 0, 1) / 255, rtol=1e-6)


def test_the_network_is_the_products():
    settings = {"depth": 14, "width": 4, "in_channels": 3, "num_classes": 5, "batch_norm_momentum": 0.1}
    product, plain = ResNet(**settings), NaiveResNet(**settings)
    product.initialize(1)
    plain.load_state_dict(product.state_dict())
    images = torch.rand(6, 3, 9, 9, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(plain(images), product(images))  # training: statistics of the batch
    for name, value in product.state_dict().items():
        torch.testing.assert_close(plain.state_dict()[name], value)  # running statistics moved alike
    torch.testing.assert_close(plain.eval()(images), product.eval()(images))


def test_training_learns(digits, network):
    losses = list(naive.train_steps(RECIPE, network, digits, num_steps=120))
    assert len(losses) == 120
    assert statistics.mean(losses[:10]) > 1.8  # ln 10 = 2.3 for a guess
    assert statistics.mean(losses[-10:]) < 0.3


def test_a_loader_process_gives_the_same_kind_of_batches(digits, network):
    losses = list(naive.train_steps(RECIPE, network, digits, num_steps=8, num_workers=1))
    assert len(losses) == 8
    assert losses[-1] < losses[0]


def test_masks_reach_the_target_and_the_network_keeps_working(digits, network):
    list(naive.train_steps(RECIPE, network, digits, num_steps=120))
    norms = {name: value.clone() for name, value in network.named_parameters() if "norm" in name}
    losses = list(naive.prune_steps(RECIPE, network, digits, sparsity=0.5, num_steps=60))
    weights = [each.weight for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    num_masked = sum(int((weight == 0).sum()) for weight in weights)
    # Weights inside the band keep their state, so the target is reached from below.
    assert 0.42 <= num_masked / sum(weight.numel() for weight in weights) <= 0.5
    assert statistics.mean(losses[-10:]) < 0.5
    for name, value in network.named_parameters():
        if "norm" in name:
            assert torch.equal(value, norms[name])


def test_gradient_reaches_masked_weights():
    masked = naive.MaskedWeight(torch.zeros(3))
    masked.mask.copy_(torch.tensor([1.0, 0.0, 1.0]))
    weight = torch.tensor([2.0, 3.0, 4.0], requires_grad=True)
    used = masked(weight)
    (used * torch.tensor([10.0, 20.0, 30.0])).sum().backward()
    assert used.tolist() == [2, 0, 4]
    assert weight.grad.tolist() == [10, 20, 30]


def test_mask_update_by_hand():
    # |w| = 1, 2, 3, 4, 5: the median is 3, so the band is from 2.7 to 3.3.
    weight = torch.tensor([-1.0, 2.0, -3.0, 4.0, -5.0])
    masked = naive.MaskedWeight(weight)
    masked.mask.copy_(torch.tensor([1.0, 1.0, 0.0, 0.0, 1.0]))
    masked.update(weight, 0.5, PruneSchedule())
    assert masked.mask.tolist() == [0, 0, 0, 1, 1]  # the third is inside the band and stays masked


def test_first_step_is_plain_sgd_with_the_schedules_first_rate(digits, network):
    """No warm-up or decay sneaks in: one step of heavy-ball momentum is w - rate * gradient."""
    schedule = PruneSchedule(num_steps=10, batch_size=200, learning_rate=0.5, momentum=0.9)
    recipe = Recipe(name="test", dataset="digits", prune=schedule)
    images = torch.stack([digits[index][0] for index in range(200)])
    before = network.classifier.weight.detach().clone()
    network.train()
    loss = F.cross_entropy(network(images), torch.tensor(digits.labels))
    (gradient,) = torch.autograd.grad(loss, [network.classifier.weight])
    steps = naive.prune_steps(recipe, network, digits, sparsity=0.0, num_steps=1)
    assert next(steps) == pytest.approx(loss.item(), rel=1e-5)
    moved = network.classifier.parametrizations.weight.original
    torch.testing.assert_close(moved, before - 0.5 * gradient, rtol=1e-4, atol=1e-6)


def test_batches_run_on_over_epochs_and_are_all_full(digits):
    sizes = [len(labels) for _, labels in naive.batches(digits, 64, 8, 0)]
    assert sizes == [64] * 8  # 3 a epoch, the rest of 8 examples is dropped


def test_every_epoch_is_a_shuffle(digits):
    small = naive.LabelledImages(np.zeros((4, 2, 2, 1), np.uint8), np.arange(4))
    labels = [batch.tolist() for _, batch in naive.batches(small, 2, 6, 0)]
    epochs = [first + second for first, second in zip(labels[::2], labels[1::2], strict=True)]
    assert [sorted(epoch) for epoch in epochs] == [[0, 1, 2, 3]] * 3


def test_a_batch_larger_than_the_data_is_refused(digits):
    with pytest.raises(ValueError, match="batch_size = 201: must be at most the 200 examples"):
        next(naive.batches(digits, 201, 1, 0))
