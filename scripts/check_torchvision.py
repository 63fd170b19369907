#!/usr/bin/env python3
"""Checks an encoder.safetensors against torchvision or timm, and writes one from there for sslcake to read.

    check_torchvision.py load encoder.safetensors pictures.npy features.npy
        Builds the network in PyTorch, loads the file with strict=True, and compares its features of the pictures
        (N,H,W,3), float32, with the given ones (N,D): relative error at most 1e-4. For ResNets of width 64 with
        ImageNet stem the network is torchvision's own, for transformers timm's; for others build() below.
    check_torchvision.py make resnet18 model.safetensors pictures.npy features.npy
        Writes the tensors of torchvision's network (random weights, statistics of a few steps, fc included), or of
        timm's (vit_tiny_patch16_224, ..., head included), random pictures and their features.

tests/nn/test_torchvision.cpp runs both directions. Needs torch, torchvision, timm (for transformers), numpy, safetensors.
"""

import json
import sys

import numpy as np
import safetensors
import safetensors.torch
import torch
import torchvision
from torchvision.models.resnet import BasicBlock, Bottleneck


def build(c):
    """The network that the metadata entry "config" describes (any stem, width and number of blocks)."""
    block = Bottleneck if c["bottleneck"] else BasicBlock
    net = torchvision.models.ResNet(block, [1, 1, 1, 1])
    net.inplanes = c["stem_width"]
    net.conv1 = torch.nn.Conv2d(3, c["stem_width"], c["stem_kernel"], c["stem_stride"], c["stem_kernel"] // 2, bias=False)
    net.bn1 = torch.nn.BatchNorm2d(c["stem_width"])
    if not c["stem_pool"]:
        net.maxpool = torch.nn.Identity()
    for i in range(4):
        layer = torch.nn.Identity()
        if i < len(c["widths"]):
            layer = net._make_layer(block, c["widths"][i], c["blocks"][i], stride=1 if i == 0 else 2)
        setattr(net, f"layer{i + 1}", layer)
    net.fc = torch.nn.Identity()
    return net


def error(found, expected):
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def load(path, pictures, features):
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    config = json.loads(metadata["config"])
    own = {"resnet18": torchvision.models.resnet18, "resnet34": torchvision.models.resnet34, "resnet50": torchvision.models.resnet50}
    if config["kind"] == "vit":
        import timm

        model = timm.models.vision_transformer.VisionTransformer(
            img_size=config["image_size"], patch_size=config["patch"], embed_dim=config["width"], depth=config["depth"],
            num_heads=config["heads"], mlp_ratio=config["mlp_width"] / config["width"], num_classes=0)
    elif metadata["architecture"] in own and config["stem_pool"]:
        model = own[metadata["architecture"]]()
        model.fc = torch.nn.Identity()
    else:
        model = build(config)
    model.load_state_dict(safetensors.torch.load_file(path), strict=True)
    model.eval()
    with torch.no_grad():
        ours = model(torch.from_numpy(np.load(pictures)).permute(0, 3, 1, 2)).numpy()
    worst = error(np.load(features), ours)
    print(f"{metadata['architecture']}: {len(model.state_dict())} tensors, strict=True; features {ours.shape}, relative error {worst:.2e}")
    return worst <= 1e-4


def make(name, path, pictures, features):
    torch.manual_seed(1)
    if name.startswith("vit_"):
        import timm

        model, size = timm.create_model(name), 224
    else:
        model, size = getattr(torchvision.models, name)(), 64
    with torch.no_grad():
        model.train()
        for _ in range(3):
            model(torch.randn(8, 3, size, size))
    safetensors.torch.save_file(model.state_dict(), path)
    model.fc = model.head = torch.nn.Identity()  # whichever it has
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        y = model.eval()(x)
    np.save(pictures, np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy()))
    np.save(features, y.numpy())
    print(f"{name}: {len(safetensors.torch.load_file(path))} tensors written")
    return True


if __name__ == "__main__":
    if len(sys.argv) != (6 if sys.argv[1:2] == ["make"] else 5) or sys.argv[1] not in ("load", "make"):
        sys.exit(__doc__)
    sys.exit(0 if (load if sys.argv[1] == "load" else make)(*sys.argv[2:]) else 1)
