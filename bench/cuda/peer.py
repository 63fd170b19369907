"""PyTorch, cuBLAS and cuDNN on the work of measure.cpp, one JSON object a line.

usage: peer.py products | convolutions resnet18|resnet50 | step [--batch N] [--mode eager|compile] | loop [--batch N] [--mode eager|compile]
               | nt_xent [--pairs N] | ceilings
"""
import argparse
import json
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
torch.backends.cudnn.benchmark = True
device = "cuda"


def time_of(call, rounds=5):
    call()
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    calls = max(1, min(200, int(0.02 / max(time.perf_counter() - start, 1e-6))))
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / calls)
    return statistics.median(times)


def say(**facts):
    print(json.dumps(facts), flush=True)


def ceilings():
    a = torch.empty(1 << 30, dtype=torch.uint8, device=device)
    b = torch.empty_like(a)
    t = time_of(lambda: b.copy_(a))
    say(what="copy", gb_per_s=round(2 * a.numel() / t / 1e9))


def products():
    for n in (1024, 2048, 4096, 8192):
        a = torch.randn(n, n, device=device, dtype=torch.bfloat16)
        b = torch.randn(n, n, device=device, dtype=torch.bfloat16)
        t = time_of(lambda: a @ b.t())
        say(what="product", n=n, ms=round(1e3 * t, 4), tflops=round(2e-12 * n**3 / t, 1))


def shapes(network):
    def square(views, size, c, o, kernel, stride):
        return views, size, c, o, kernel, stride

    if network == "resnet18":
        views, size, c = 1024, 32, 64
        out = [square(views, 32, 3, 64, 3, 1)]
        for stage in range(4):
            if stage:
                out += [square(views, size, c, 2 * c, 3, 2), square(views, size, c, 2 * c, 1, 2)]
                c, size = 2 * c, size // 2
            out.append(square(views, size, c, c, 3, 1))
        return out
    views, inside, size, width = 512, 64, 32, 64
    out = [square(views, 128, 3, 64, 7, 2)]
    for stage in range(4):
        stride = 2 if stage else 1
        out += [square(views, size, inside, width, 1, 1), square(views, size, width, width, 3, stride),
                square(views, size, inside, 4 * width, 1, stride)]
        size //= stride
        out += [square(views, size, width, 4 * width, 1, 1), square(views, size, 4 * width, width, 1, 1)]
        if stage:
            out.append(square(views, size, width, width, 3, 1))
        inside, width = 4 * width, 2 * width
    return out


def convolutions(network):
    for views, size, c, o, kernel, stride in shapes(network):
        x = torch.randn(views, c, size, size, device=device, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
        w = torch.randn(o, c, kernel, kernel, device=device, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
        pad = kernel // 2
        y = F.conv2d(x, w, None, stride, pad)
        dy = torch.randn_like(y)
        flops = 2 * y.numel() * c * kernel * kernel

        def backward(mask):
            return torch.ops.aten.convolution_backward(dy, x, w, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1, mask)

        for direction, call in (("forward", lambda: F.conv2d(x, w, None, stride, pad)),
                                ("input_grad", lambda: backward([True, False, False])),
                                ("weight_grad", lambda: backward([False, True, False]))):
            if direction == "input_grad" and c == 3:
                continue
            t = time_of(call)
            say(what="convolution", network=network, h=size, c=c, o=o, k=kernel, stride=stride, direction=direction,
                ms=round(1e3 * t, 4), tflops=round(1e-12 * flops / t, 1))


class SimCLR(nn.Module):
    def __init__(self, size):
        super().__init__()
        import torchvision
        self.encoder = torchvision.models.resnet18()
        if size <= 64:
            self.encoder.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
            self.encoder.maxpool = nn.Identity()
        self.encoder.fc = nn.Identity()
        self.head = nn.Sequential(nn.Linear(512, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 128))

    def forward(self, x):
        return self.head(self.encoder(x))


def nt_xent_loss(z, temperature):
    z = F.normalize(z.float(), dim=1)
    n = z.shape[0] // 2
    s = z @ z.t() / temperature
    s.fill_diagonal_(float("-inf"))
    target = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(s, target)


def make_step(batch, size, mode):
    model = SimCLR(size).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06, momentum=0.9, weight_decay=5e-4, fused=True)

    def forward(x):
        with torch.autocast("cuda", torch.bfloat16):
            z = model(x)
        return nt_xent_loss(z, 0.5)

    if mode == "compile":
        forward = torch.compile(forward, mode="reduce-overhead")

    def step(x):
        optimizer.zero_grad(set_to_none=True)
        loss = forward(x)
        loss.backward()
        optimizer.step()
        return loss

    return step


def timed_steps(one, steps=30, rounds=5):
    for _ in range(6):
        one()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(steps):
            one()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / steps)
    return statistics.median(times)


def step(options):
    x = torch.randn(2 * options.batch, 3, options.size, options.size, device=device).to(memory_format=torch.channels_last)
    run = make_step(options.batch, options.size, options.mode)
    t = timed_steps(lambda: run(x))
    say(what="step", mode=options.mode, batch=options.batch, ms=round(1e3 * t, 3), views_per_s=round(2 * options.batch / t),
        peak_mib=round(torch.cuda.max_memory_allocated() / 2**20))


def loop(options):
    """From bytes in GPU memory (random pictures): torchvision's v2 transforms there, and kornia's."""
    from torchvision.transforms import v2
    pictures = torch.randint(0, 256, (20000, 3, 32, 32), dtype=torch.uint8, device=device)
    transform = v2.Compose([v2.RandomResizedCrop(32, scale=(0.2, 1), antialias=True), v2.RandomHorizontalFlip(),
                            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8), v2.RandomGrayscale(0.2),
                            v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.49, 0.48, 0.45], [0.25, 0.24, 0.26])])
    run = make_step(options.batch, 32, options.mode)

    def one():
        index = torch.randint(0, len(pictures), (options.batch,), device=device)
        some = pictures[index]
        views = torch.stack([transform(p) for _ in range(2) for p in some]).to(memory_format=torch.channels_last)
        return run(views)

    t = timed_steps(one, steps=1, rounds=3)
    say(what="loop", mode=options.mode, batch=options.batch, transforms="torchvision v2, one picture at a time", ms=round(1e3 * t, 3))

    # The whole batch with one draw: what v2 does fast, and not the same thing.
    def together():
        index = torch.randint(0, len(pictures), (options.batch,), device=device)
        some = pictures[index]
        return run(torch.cat([transform(some), transform(some)]).to(memory_format=torch.channels_last))

    t = timed_steps(together, steps=10, rounds=3)
    say(what="loop", mode=options.mode, batch=options.batch, transforms="torchvision v2, one draw for the batch", ms=round(1e3 * t, 3))

    # kornia, where it is installed: the whole batch, each picture with its own draws.
    try:
        import kornia.augmentation as K
    except ImportError:
        say(what="loop", transforms="kornia", error="not installed")
        return
    each = K.AugmentationSequential(K.RandomResizedCrop((32, 32), scale=(0.2, 1.0)), K.RandomHorizontalFlip(p=0.5),
                                    K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8), K.RandomGrayscale(p=0.2),
                                    K.Normalize(torch.tensor([0.49, 0.48, 0.45]), torch.tensor([0.25, 0.24, 0.26])))

    def by_kornia():
        index = torch.randint(0, len(pictures), (options.batch,), device=device)
        some = pictures[index].float() / 255
        return run(torch.cat([each(some), each(some)]).to(memory_format=torch.channels_last))

    t = timed_steps(by_kornia, steps=5, rounds=3)
    say(what="loop", mode=options.mode, batch=options.batch, transforms="kornia", ms=round(1e3 * t, 3))


def nt_xent(options):
    z = torch.randn(2 * options.pairs, 128, device=device, requires_grad=True)

    def one():
        z.grad = None
        nt_xent_loss(z, 0.5).backward()

    try:
        t = time_of(one, 3)
        say(what="nt_xent", pairs=options.pairs, ms=round(1e3 * t, 2), peak_mib=round(torch.cuda.max_memory_allocated() / 2**20))
    except torch.OutOfMemoryError:
        say(what="nt_xent", pairs=options.pairs, ms=None, error="out of memory")


parser = argparse.ArgumentParser()
parser.add_argument("what")
parser.add_argument("network", nargs="?", default="resnet18")
parser.add_argument("--batch", type=int, default=512)
parser.add_argument("--size", type=int, default=32)
parser.add_argument("--pairs", type=int, default=32768)
parser.add_argument("--mode", default="compile")
options = parser.parse_args()
print(torch.cuda.get_device_name(), torch.__version__, file=sys.stderr)
if options.what == "products":
    products()
elif options.what == "convolutions":
    convolutions(options.network)
elif options.what in ("step", "loop", "nt_xent", "ceilings"):
    {"step": step, "loop": loop, "nt_xent": nt_xent, "ceilings": lambda _: ceilings()}[options.what](options)
