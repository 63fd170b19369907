"""The training step of bench/step.cpp in PyTorch: SimCLR (arXiv 2002.05709) with a torchvision ResNet or a timm ViT.

The network, the batch, the loss and the optimiser are the same; the pictures are random numbers on both sides, since
only the step is timed. Prints one line of JSON.
"""

import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn.functional as F
import torchvision


class Model(torch.nn.Module):
    """The encoder and SimCLR's projection head. Up to 64 pixels ResNets have a 3x3 stem without pooling (appendix B.9)."""

    def __init__(self, name, size):
        super().__init__()
        if name.startswith("vit_"):
            import timm

            self.encoder = timm.create_model(f"{name}_{'' if '_patch' in name else 'patch16_'}224", img_size=size, num_classes=0)
            features = self.encoder.num_features
        else:
            self.encoder = getattr(torchvision.models, name)()
            features = self.encoder.fc.in_features
            self.encoder.fc = torch.nn.Identity()
            if size <= 64:
                self.encoder.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
                self.encoder.maxpool = torch.nn.Identity()
        self.projection = torch.nn.Sequential(torch.nn.Linear(features, features, bias=False), torch.nn.BatchNorm1d(features),
                                              torch.nn.ReLU(), torch.nn.Linear(features, 128))

    def forward(self, x):
        return self.projection(self.encoder(x))


def nt_xent(z, temperature):
    """Rows i and i + N are two views of one picture (eq. 1)."""
    n = z.shape[0] // 2
    z = F.normalize(z, dim=1)
    similarity = z @ z.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    partner = torch.arange(2 * n).roll(n)
    return F.cross_entropy(similarity, partner)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["eager", "channels-last", "compile"], default="eager")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="bfloat16: autocast")
    parser.add_argument("--batch", type=int, default=64, help="pictures in a step; each gives two views")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--encoder", default="resnet18", help="resnet18, resnet50, vit_small, ...")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = Model(options.encoder, options.size).train()
    views = 2 * options.batch
    x = torch.randn(views, 3, options.size, options.size)
    if options.mode != "eager":
        model = model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06, momentum=0.9, weight_decay=5e-4)
    forward = torch.compile(model) if options.mode == "compile" else model

    milliseconds = []
    for step in range(options.warmup + options.steps):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16"):
            z = forward(x)
        loss = nt_xent(z.float(), 0.5)
        loss.backward()
        optimizer.step()
        loss_value = loss.item()
        if step >= options.warmup:
            milliseconds.append(1000 * (time.perf_counter() - start))

    median = statistics.median(milliseconds)
    print(json.dumps({
        "program": f"PyTorch {torch.__version__.split('+')[0]} {options.mode} {options.precision}",
        "ms_per_step": round(median, 2),
        "fastest_ms": round(min(milliseconds), 2),
        "views_per_s": round(1000 * views / median, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "loss": round(loss_value, 5),
    }))


if __name__ == "__main__":
    main()
