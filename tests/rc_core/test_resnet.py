import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from rc_core.resnet import ResNet, kernels

# An independent network in NumPy, written from the description of the experiment, that reads the weights
# from the state dict. Activations are (B, C, H, W) float64.


def convolve(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """Cross-correlation with zero padding (k - 1)/2."""
    size = weight.shape[2]
    pad = (size - 1) // 2
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    return np.einsum("bchwij,ocij->bohw", patches[:, :, ::stride, ::stride], weight)


class NumpyResNet:
    """Pre-activation ResNet of 3 stages; remembers the statistics that each normalisation saw."""

    def __init__(self, model: ResNet, num_blocks: int) -> None:
        self.state = {name: tensor.double().numpy().copy() for name, tensor in model.state_dict().items()}
        self.num_blocks = num_blocks
        self.batch_means: dict[str, np.ndarray] = {}
        self.batch_variances: dict[str, np.ndarray] = {}  # unbiased

    def normalise(self, x: np.ndarray, name: str, train: bool) -> np.ndarray:
        state, channels = self.state, x.shape[1]
        if train:
            columns = x.transpose(1, 0, 2, 3).reshape(channels, -1)
            mean, variance = columns.mean(axis=1), columns.var(axis=1)
            self.batch_means[name] = mean
            self.batch_variances[name] = columns.var(axis=1, ddof=1)
        else:
            mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        scale = state[f"{name}.weight"] / np.sqrt(variance + 1e-5)
        shift = state[f"{name}.bias"] - mean * scale
        return x * scale[:, None, None] + shift[:, None, None]

    def forward(self, x: np.ndarray, train: bool) -> np.ndarray:
        state = self.state
        x = convolve(x, state["stem.weight"], 1)
        for stage in range(3):
            for block in range(self.num_blocks):
                name = f"blocks.{stage * self.num_blocks + block}"
                stride = 2 if stage > 0 and block == 0 else 1
                activated = np.maximum(self.normalise(x, f"{name}.norm1", train), 0)
                shortcut = x
                if block == 0:
                    shortcut = convolve(activated, state[f"{name}.shortcut.weight"], stride)
                y = convolve(activated, state[f"{name}.conv1.weight"], stride)
                y = np.maximum(self.normalise(y, f"{name}.norm2", train), 0)
                x = convolve(y, state[f"{name}.conv2.weight"], 1) + shortcut
        pooled = np.maximum(self.normalise(x, "norm", train), 0).mean(axis=(2, 3))
        return pooled @ state["classifier.weight"].T + state["classifier.bias"]


def random_network(depth: int, channels: int, *, momentum: float = 0.1, width: int = 4) -> ResNet:
    """A network in float64 all of whose state is random, so that no part of it is without effect."""
    model = ResNet(
        depth=depth, width=width, in_channels=channels, num_classes=7, batch_norm_momentum=momentum
    ).double()
    model.initialize(5)
    generator = torch.Generator().manual_seed(6)
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if tensor.ndim == 1:  # scales, shifts, running statistics
            low = 0.5 if name.endswith(("weight", "running_var")) else -0.5
            tensor.uniform_(low, low + 1, generator=generator)
    return model


def random_images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(
    ("height", "width", "channels"), [(8, 8, 1), (16, 16, 3), (7, 9, 2), (5, 5, 3), (3, 2, 1), (1, 1, 1)]
)
@pytest.mark.parametrize("depth", [8, 20])
def test_forward_agrees_with_an_independent_network(depth, height, width, channels, mode):
    model = random_network(depth, channels)
    images = random_images(5, channels, height, width)
    reference = NumpyResNet(model, (depth - 2) // 6)
    model.train(mode == "train")
    with torch.no_grad():
        logits = model(images).numpy()
    assert logits.shape == (5, 7)
    wanted = reference.forward(images.numpy(), mode == "train")
    np.testing.assert_allclose(logits, wanted, rtol=1e-10, atol=1e-10)
    assert np.ptp(wanted, axis=0).min() > 1e-3  # the images make a difference


def test_forward_is_the_same_in_channels_last_memory():
    model, images = random_network(8, 3), random_images(4, 3, 9, 9)
    wanted = NumpyResNet(model, 1).forward(images.numpy(), False)
    model = model.to(memory_format=torch.channels_last).eval()
    with torch.no_grad():
        logits = model(images.to(memory_format=torch.channels_last)).numpy()
    np.testing.assert_allclose(logits, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("momentum", [0.1, 0.003, 1.0])
def test_running_statistics_follow_the_formula(momentum):
    model, images = random_network(8, 2, momentum=momentum), random_images(2, 6, 2, 6, 6)
    reference = NumpyResNet(model, 1)
    means = {name: array for name, array in reference.state.items() if name.endswith("running_mean")}
    variances = {name: array for name, array in reference.state.items() if name.endswith("running_var")}
    assert len(means) == len(variances) == 7
    model.train()
    for batch in images:
        with torch.no_grad():
            model(batch)
        reference.forward(batch.numpy(), True)
        for name in means:
            seen = reference.batch_means[name.removesuffix(".running_mean")]
            means[name] = (1 - momentum) * means[name] + momentum * seen
        for name in variances:
            seen = reference.batch_variances[name.removesuffix(".running_var")]
            variances[name] = (1 - momentum) * variances[name] + momentum * seen
    state = model.state_dict()
    for name, wanted in (means | variances).items():
        np.testing.assert_allclose(state[name].numpy(), wanted, rtol=1e-10, atol=1e-12)


def test_resnet56_has_the_published_size():
    model = ResNet()
    prunable = kernels(model)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 855_834
    assert len(prunable) == 59
    assert sum(p.numel() for p in prunable.values()) == 851_760
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_resnet8_of_width_8_has_the_calibrated_size():
    # 9c*8 stem + stage 1: 64 + 2*576, stage 2: 128 + 1152 + 2304, stage 3: 512 + 4608 + 9216, dense: 320
    sizes = [p.numel() for p in kernels(ResNet(depth=8, width=8, in_channels=1)).values()]
    assert sorted(sizes) == sorted([72, 64, 576, 576, 128, 1152, 2304, 512, 4608, 9216, 320])
    assert sum(sizes) == 19_528


@pytest.mark.parametrize(("depth", "num_convolutions"), [(8, 10), (14, 16), (20, 22), (56, 58), (110, 112)])
def test_depth_counts_the_weight_layers(depth, num_convolutions):
    # depth = stem + two per block + dense; three projections are not counted.
    shapes = [tuple(p.shape) for p in kernels(ResNet(depth=depth, width=2, in_channels=1)).values()]
    assert len(shapes) == num_convolutions + 1
    assert sum(shape[2:] == (3, 3) for shape in shapes) == depth - 1
    assert sum(shape[2:] == (1, 1) for shape in shapes) == 3
    assert sum(len(shape) == 2 for shape in shapes) == 1


def test_kernels_are_the_parameters_themselves_without_biases_and_normalisation():
    model = ResNet(depth=8, width=4)
    prunable = kernels(model)
    parameters = dict(model.named_parameters())
    for name, weight in prunable.items():
        assert parameters[name] is weight
        assert name.endswith(".weight")
        assert "norm" not in name
    left = set(parameters) - set(prunable)
    assert left == {"classifier.bias"} | {name for name in parameters if "norm" in name}


@pytest.mark.parametrize("depth", [-4, 2, 7, 9, 18, 55])
def test_another_depth_is_refused(depth):
    with pytest.raises(ValueError, match=rf"depth = {depth}: must be 6n \+ 2 with n >= 1"):
        ResNet(depth=depth)


@pytest.fixture(scope="module")
def initial() -> ResNet:
    model = ResNet(batch_norm_momentum=0.003)
    model.initialize(42)
    return model


def test_convolutions_begin_as_a_truncated_normal_of_variance_one_over_fan_in(initial):
    untruncated_std = 1 / stats.truncnorm(-2, 2).std()  # of a truncated normal with variance one
    assert untruncated_std == pytest.approx(1 / 0.87962566103423978, rel=1e-12)
    pooled = []
    for name, weight in kernels(initial).items():
        if weight.ndim != 4:
            continue
        fan_in = weight.shape[1] * weight.shape[2] * weight.shape[3]
        normed = weight.detach().double().numpy().ravel() * math.sqrt(fan_in)
        assert np.abs(normed).max() <= 2 * untruncated_std * (1 + 1e-6), name
        pooled.append(normed)
        if normed.size >= 2_000:
            assert abs(normed.mean()) < 5 / math.sqrt(normed.size), name
            assert normed.var() == pytest.approx(1, abs=5 / math.sqrt(normed.size)), name
    values = np.concatenate(pooled)
    assert values.size == 851_760 - 640
    assert abs(values.mean()) < 5 / math.sqrt(values.size)
    # The kurtosis of this distribution is 2.37, so the variance of n squares is 1.37/n.
    assert values.var() == pytest.approx(1, abs=5 * math.sqrt(1.37 / values.size))
    assert np.abs(values).max() > 2 * untruncated_std * 0.999
    assert stats.kstest(values / untruncated_std, stats.truncnorm(-2, 2).cdf).pvalue > 1e-3


def test_the_dense_layer_begins_uniform_after_glorot(initial):
    limit = math.sqrt(6 / (64 + 10))
    values = initial.classifier.weight.detach().double().numpy().ravel()
    assert np.abs(values).max() <= limit
    assert stats.kstest(values, stats.uniform(-limit, 2 * limit).cdf).pvalue > 1e-3
    assert (initial.classifier.bias == 0).all()


def test_normalisation_begins_neutral(initial):
    state = initial.state_dict()
    norms = [name.removesuffix(".running_mean") for name in state if name.endswith("running_mean")]
    assert len(norms) == 55
    for name in norms:
        assert (state[f"{name}.weight"] == 1).all()
        assert (state[f"{name}.bias"] == 0).all()
        assert (state[f"{name}.running_mean"] == 0).all()
        assert (state[f"{name}.running_var"] == 1).all()
    for module in initial.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert (module.eps, module.momentum) == (1e-5, 0.003)


def test_initialisation_is_a_function_of_the_seed_alone():
    def state(seed: int, global_seed: int, spoiled: bool = False) -> dict[str, torch.Tensor]:
        torch.manual_seed(global_seed)
        model = ResNet(depth=8, width=4)
        if spoiled:  # used before
            for tensor in model.state_dict().values():
                tensor.fill_(3)
        model.initialize(seed)
        return {name: tensor.clone() for name, tensor in model.state_dict().items()}

    first, same, other = state(42, 1), state(42, 2, spoiled=True), state(43, 1)
    for name, tensor in first.items():
        assert torch.equal(tensor, same[name]), name
        if tensor.ndim >= 2:
            assert not torch.equal(tensor, other[name]), name


def test_initialisation_does_not_depend_on_the_memory_layout():
    plain, last = (ResNet(depth=8, width=4) for _ in range(2))
    last = last.to(memory_format=torch.channels_last)
    plain.initialize(42)
    last.initialize(42)
    for one, other in zip(plain.parameters(), last.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.gpu
def test_initialisation_does_not_depend_on_the_device():
    plain, other = ResNet(depth=8, width=4), ResNet(depth=8, width=4).to("cuda")
    plain.initialize(42)
    other.initialize(42)
    for one, two in zip(plain.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two.cpu())


def test_gradients_agree_with_finite_differences():
    model, images = random_network(8, 1), random_images(4, 1, 6, 6)
    labels = torch.tensor([0, 3, 6, 3])
    model.train()
    F.cross_entropy(model(images), labels).backward()
    step = 1e-5
    for name, weight in kernels(model).items():
        values, losses = weight.data.view(-1), []
        index = values.numel() // 2
        for offset in (step, -2 * step, step):
            losses.append(NumpyResNet(model, 1).forward(images.numpy(), True))
            values[index] += offset
        ups, downs = (
            -np.mean([logits[i, y] - np.log(np.exp(logits[i]).sum()) for i, y in enumerate(labels.tolist())])
            for logits in losses[1:]
        )
        assert weight.grad is not None
        assert weight.grad.view(-1)[index].item() == pytest.approx(
            (ups - downs) / (2 * step), rel=1e-4, abs=1e-7
        ), name


@pytest.mark.parametrize("image_size", [8, 12, 32])  # 2 x 2, 3 x 3 and 8 x 8 pixels are averaged
def test_pooling_is_the_mean_over_pixels_bit_for_bit(image_size: int) -> None:
    def outcome(forward: Callable[[ResNet, torch.Tensor], torch.Tensor]) -> list[torch.Tensor]:
        model = ResNet(depth=8, width=4, num_classes=3)
        model.initialize(1)
        generator = torch.Generator().manual_seed(2)
        logits = forward(model, torch.rand(5, 3, image_size, image_size, generator=generator))
        logits.square().sum().backward()
        return [logits.detach(), *(parameter.grad for parameter in model.parameters())]

    def with_mean(model: ResNet, images: torch.Tensor) -> torch.Tensor:
        features = model.norm(model.blocks(model.stem(images))).relu()
        return model.classifier(features.mean(dim=(2, 3)))

    for own, plain in zip(outcome(ResNet.__call__), outcome(with_mean), strict=True):
        assert torch.equal(own, plain)
