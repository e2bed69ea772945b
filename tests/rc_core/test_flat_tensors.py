import torch
from torch import nn

from rc_core.flat_tensors import FlatParameters, flat_views


def test_views_have_shape_and_layout_and_share_the_buffer():
    channels_last = torch.empty(2, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    like = [torch.empty(4), channels_last]
    flat, views = flat_views(like, fill=1.0)
    assert flat.tolist() == [1.0] * 28
    assert [view.shape for view in views] == [tensor.shape for tensor in like]
    assert views[1].is_contiguous(memory_format=torch.channels_last)
    views[1][1, 2, 0, 1] = 7.0
    # Behind the four of the first: 12 of the first image, pixel (0, 1) is the second, channel 2 its third.
    assert flat.nonzero()[flat[flat != 0] == 7.0].item() == 4 + 12 + 3 + 2
    assert flat_views(like, torch.bool)[0].dtype == torch.bool


def test_parameters_keep_their_values_and_move_with_the_buffer():
    layer = nn.Conv2d(3, 2, 2).to(memory_format=torch.channels_last)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    flat = FlatParameters(dict(layer.named_parameters()))
    assert torch.equal(layer.weight, weight)
    assert torch.equal(layer.bias, bias)
    flat.values.mul_(2)
    assert torch.equal(layer.weight, 2 * weight)
    layer(torch.ones(1, 3, 4, 4)).sum().backward()
    gradients = flat.gather_gradients()
    _, parts = flat.like()
    assert [part.shape for part in parts.values()] == [weight.shape, bias.shape]
    assert parts["weight"].stride() == layer.weight.stride()
    torch.testing.assert_close(gradients[-2:], torch.tensor([9.0, 9.0]))  # of the bias: 3 x 3 pixels
    torch.testing.assert_close(gradients[:-2], torch.full((24,), 9.0))
    assert layer.weight.grad is None  # or the next backward pass would add to it
    assert layer.bias.grad is None
