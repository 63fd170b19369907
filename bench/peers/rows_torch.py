"""The rows of bench/rows.cpp with torchvision on PIL and with PyTorch. Prints one line of JSON."""

import argparse
import json
import resource
import statistics
import time
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torchvision import transforms


def seconds(work, times):
    work()
    measured = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        measured.append(time.perf_counter() - start)
    return statistics.median(measured)


def simclr(size, strength, blur):
    """SimCLR's views, appendix A of arXiv 2002.05709."""
    s = strength
    steps = [
        transforms.RandomResizedCrop(size),
        transforms.RandomHorizontalFlip(),
        transforms.RandomApply([transforms.ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s)], p=0.8),
        transforms.RandomGrayscale(0.2),
    ]
    if blur:
        steps.append(transforms.RandomApply([transforms.GaussianBlur(23, (0.1, 2.0))], p=0.5))
    steps += [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    return transforms.Compose(steps)


def picture(width, height):
    y, x, c = numpy.meshgrid(numpy.arange(height), numpy.arange(width), numpy.arange(3), indexing="ij")
    noise = numpy.random.default_rng(1).integers(0, 50, (height, width, 3))
    return Image.fromarray(((x * (c + 1) + y * 2) // 4 % 200 + noise).astype(numpy.uint8))


def views_per_second(recipe, width, height, count):
    source = picture(width, height)
    return count / seconds(lambda: [recipe(source) for _ in range(count)], 5)


class TwoViews:
    def __init__(self, recipe):
        self.recipe = recipe

    def __call__(self, source):
        return self.recipe(source), self.recipe(source)


def folder_per_second(path, workers):
    dataset = torchvision.datasets.ImageFolder(Path(path).parent, TwoViews(simclr(224, 1, True)))
    loader = torch.utils.data.DataLoader(dataset, 50, shuffle=True, num_workers=workers, persistent_workers=workers > 0, drop_last=True)
    return len(dataset) / seconds(lambda: [None for _ in loader], 1)


def nt_xent_ms(pairs):
    z = torch.randn(2 * pairs, 128, requires_grad=True)
    partner = torch.arange(2 * pairs).roll(pairs)

    def work():
        z.grad = None
        unit = F.normalize(z, dim=1)
        similarity = unit @ unit.T / 0.5
        similarity.fill_diagonal_(float("-inf"))
        F.cross_entropy(similarity, partner).backward()

    return 1000 * seconds(work, 5)


def knn_ms():
    base, queries = F.normalize(torch.randn(50000, 512), dim=1), F.normalize(torch.randn(10000, 512), dim=1)

    def work():
        for chunk in queries.split(1000):
            (chunk @ base.T).topk(200, dim=1)

    return 1000 * seconds(work, 3)


def same_votes(folder):
    """The share of the queries that bench/rows.cpp left in `folder` for which PyTorch's neighbours vote for the same class."""
    base, queries, labels, votes = (torch.from_numpy(numpy.load(Path(folder) / f"{name}.npy"))
                                    for name in ("base", "queries", "labels", "votes"))
    base, queries = F.normalize(base, dim=1), F.normalize(queries, dim=1)
    found = []
    for chunk in queries.split(1000):
        similarities, indices = (chunk @ base.T).topk(200, dim=1)
        weights = torch.zeros(len(chunk), 10).scatter_add_(1, labels[indices], (similarities / 0.1).exp())
        found.append(weights.argmax(dim=1))
    return (torch.cat(found) == votes).double().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=["views32", "views224", "folder", "nt_xent", "knn", "votes"])
    parser.add_argument("argument", nargs="?")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1 if options.row.startswith("views") else 2)
    torch.manual_seed(0)
    name = "PyTorch"
    if options.row == "views32":
        name, value = "torchvision on PIL", views_per_second(simclr(32, 0.5, False), 32, 32, 500)
    elif options.row == "views224":
        name, value = "torchvision on PIL", views_per_second(simclr(224, 1, True), 500, 375, 20)
    elif options.row == "folder":
        name, value = f"ImageFolder, DataLoader, {options.workers} workers", folder_per_second(options.argument, options.workers)
    elif options.row == "nt_xent":
        value = nt_xent_ms(4096)
    elif options.row == "votes":
        value = same_votes(options.argument)
    else:
        value = knn_ms()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"program": name, "value": value, "peak_mib": round(peak)}))


if __name__ == "__main__":
    main()
