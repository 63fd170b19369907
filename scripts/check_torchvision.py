#!/usr/bin/env python3
"""Checks an encoder.safetensors against torchvision or timm, and writes one from there for sslcake to read.

    check_torchvision.py load encoder.safetensors pictures.npy features.npy
        Builds the network in PyTorch, loads the file with strict=True, and compares its features of the pictures
        (N,H,W,3), float32, with the given ones (N,D): relative error at most 1e-4. For ResNets of width 64 with
        ImageNet stem the network is torchvision's own, for transformers timm's; for others build() below.
    check_torchvision.py make resnet18 model.safetensors pictures.npy features.npy
        Writes the tensors of torchvision's network (random weights, statistics of a few steps, fc included), or of
        timm's (vit_tiny_patch16_224, ..., head included), random pictures and their features.
    check_torchvision.py readme FOLDER
        Runs README.md's Python lines as they stand there, in a folder with the encoder.safetensors that they load, and
        compares the features of their `net` with pictures.npy and features.npy in that folder.

tests/nn/test_torchvision.cpp runs all three. Needs torch, torchvision, timm (for transformers), numpy, safetensors.
"""

import json
import os
import re
import sys
from pathlib import Path

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


def same_features(name, model, pictures, features):
    with torch.no_grad():
        ours = model(torch.from_numpy(np.load(pictures)).permute(0, 3, 1, 2)).numpy()
    worst = error(np.load(features), ours)
    print(f"{name}: {len(model.state_dict())} tensors, strict=True; features {ours.shape}, relative error {worst:.2e}")
    return worst <= 1e-4


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
    return same_features(metadata["architecture"], model.eval(), pictures, features)


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


def readme(folder):
    page = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    if len(blocks) != 1:
        sys.exit(f"expected one block of Python in README.md, found {len(blocks)}")
    os.chdir(folder)
    names = {}
    exec(compile(blocks[0], "README.md", "exec"), names)
    return same_features("README.md", names["net"], "pictures.npy", "features.npy")


if __name__ == "__main__":
    modes = {"load": (load, 3), "make": (make, 4), "readme": (readme, 1)}
    mode, count = modes.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
    if mode is None or len(sys.argv) != 2 + count:
        sys.exit(__doc__)
    sys.exit(0 if mode(*sys.argv[2:]) else 1)
