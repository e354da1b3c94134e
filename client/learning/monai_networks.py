"""MONAI's networks with GroupNorm everywhere, nothing in place, and stems that suit small images.

MONAI 1.6.1 builds ResNet's blocks with BatchNorm whatever `norm` says, its residual adds and
activations work in place, and its DenseNet and EfficientNet shrink a 28 x 28 image to nothing.
"""

from __future__ import annotations

from math import gcd
from typing import Any

from monai.networks.nets.densenet import DenseNet as MonaiDenseNet
from monai.networks.nets.efficientnet import EfficientNet as MonaiEfficientNet
from monai.networks.nets.efficientnet import efficientnet_params
from monai.networks.nets.resnet import ResNet as MonaiResNet
from monai.networks.nets.resnet import ResNetBlock
from torch import Tensor, nn

from client.learning.randomness import Dropout, followed
from protocol.networks import DenseNet, EfficientNet, ResNet

Image = tuple[int, int, int]

SMALL = 64
"""Images with a shorter side below this get a 3 x 3 stem that keeps their size."""
TINY = 16
"""Images with a shorter side below this are not pooled before the first block either."""

_RELU = ("relu", {"inplace": False})
# Repeats, kernel, stride, expansion, channels in and out: Tan and Le, ICML 2019, table 1.
_STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)


def _group_norm(groups: int) -> tuple[str, dict[str, int]]:
    return ("group", {"num_groups": groups})


class _Block(ResNetBlock):
    """MONAI's basic block with nothing in place, so that Opacus' hooks can follow it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "act": _RELU})

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))
        residual = x if self.downsample is None else self.downsample(x)
        return self.act(out + residual)  # type: ignore[no-any-return]  # MONAI leaves act untyped


class _GroupNormResNet(MonaiResNet):
    """MONAI's ResNet whose `norm` also reaches the blocks and the shortcuts."""

    def __init__(self, groups: int, **kwargs: Any) -> None:
        self._norm = _group_norm(groups)
        super().__init__(_Block, norm=self._norm, act=_RELU, **kwargs)

    def _make_layer(self, *args: Any, **kwargs: Any) -> nn.Sequential:
        return super()._make_layer(*args, **{**kwargs, "norm": self._norm})


def resnet(network: ResNet, image: Image, classes: int) -> nn.Module:
    """ResNet (He et al., CVPR 2016) of basic blocks; 7 MFLOP for a 28 x 28 image by default."""
    small = min(image[1:]) < SMALL
    net = _GroupNormResNet(
        network.groups,
        layers=list(network.blocks),
        block_inplanes=list(network.channels),
        spatial_dims=2,
        n_input_channels=image[0],
        num_classes=classes,
        conv1_t_size=3 if small else 7,
        conv1_t_stride=1 if small else 2,
        no_max_pool=min(image[1:]) < TINY,
        bias_downsample=False,
    )
    net.avgpool = followed(net.avgpool, network.dropout)  # type: ignore[assignment]  # MONAI only calls it
    return net


def densenet(network: DenseNet, image: Image, classes: int) -> nn.Module:
    """DenseNet (Huang et al., CVPR 2017); as many groups as divide every width, at most 8."""
    net = MonaiDenseNet(
        2,
        image[0],
        classes,
        init_features=64,
        growth_rate=network.growth,
        block_config=network.blocks,
        act=_RELU,
        norm=_group_norm(gcd(8, *_widths(network))),
    )
    if min(image[1:]) < SMALL:
        stem = nn.Conv2d(image[0], 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(stem.weight)
        net.features.conv0 = stem
    if min(image[1:]) < TINY:
        net.features.pool0 = nn.Identity()
    flatten = net.class_layers.get_submodule("flatten")
    net.class_layers.flatten = followed(flatten, network.dropout)
    return net


def _widths(network: DenseNet) -> list[int]:
    """Every channel count that DenseNet normalises outside its bottlenecks."""
    width, widths = 64, [64]
    for i, layers in enumerate(network.blocks):
        widths += [width + k * network.growth for k in range(1, layers + 1)]
        last = i == len(network.blocks) - 1
        width = widths[-1] if last else widths[-1] // 2
        widths.append(width)
    return widths


def efficientnet(network: EfficientNet, image: Image, classes: int) -> nn.Module:
    """EfficientNet (Tan and Le, ICML 2019) with the paper's dropout, without stochastic depth.

    Stochastic depth is left out: MONAI draws it from torch's global generator, which worker
    threads share.
    """
    width, depth, _, dropout, _ = efficientnet_params[f"efficientnet-{network.variant}"]
    small = min(image[1:]) < SMALL
    net = MonaiEfficientNet(
        [f"r{r}_k{k}_s{s}{s}_e{e}_i{i}_o{o}_se0.25" for r, k, s, e, i, o in _STAGES],
        spatial_dims=2,
        in_channels=image[0],
        num_classes=classes,
        width_coefficient=width,
        depth_coefficient=depth,
        # Sets the paddings of every block. The stem is taken to halve it, and a small one does not.
        image_size=min(image[1:]) * (2 if small else 1),
        norm=_group_norm(8),
        drop_connect_rate=0.0,
    )
    if small:
        stem = nn.Conv2d(image[0], net._conv_stem.out_channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out")
        net._conv_stem = stem
        net._conv_stem_padding = nn.Identity()
    for module in net.modules():
        if hasattr(module, "_swish"):
            module._swish = nn.SiLU()  # MONAI's own has no per-sample gradient and is slower
    net._dropout = Dropout(dropout)
    return net
