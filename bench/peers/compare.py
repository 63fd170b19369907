"""Runs our step and PyTorch's in turn, so that a slow minute of the machine hits all of them, and prints one table."""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ours", help="the program built from bench/step.cpp")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--modes", default="eager,channels-last,compile")
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--out", help="also write all measurements here, as JSON")
    options = parser.parse_args()

    common = ["--batch", options.batch, "--size", options.size, "--threads", options.threads, "--steps", options.steps,
              "--encoder", options.encoder]
    common = list(map(str, common))
    precisions = options.precisions.split(",")
    ours = [[options.ours, *common, "--bfloat16", str(int(p == "bfloat16"))] for p in precisions]
    theirs = [[sys.executable, str(HERE / "step_torch.py"), "--mode", mode, "--precision", p, *common]
              for p in precisions for mode in options.modes.split(",")]
    contestants = ours + theirs
    results = [[] for _ in contestants]
    for turn in range(options.rounds):
        for i, command in enumerate(contestants):
            results[i].append(run(command))
            print(f"round {turn + 1}: {results[i][-1]}", file=sys.stderr)

    def median(i, key):
        return statistics.median(r[key] for r in results[i])

    print(f"SimCLR step, {options.encoder}, {options.batch} pictures of {options.size}x{options.size} in two views, "
          f"{options.threads} threads; medians of {options.rounds} interleaved runs of {options.steps} steps")
    print(f"{'':40}{'ms/step':>10}{'views/s':>10}{'peak MiB':>10}")
    for i in range(len(contestants)):
        print(f"{results[i][0]['program']:40}{median(i, 'ms_per_step'):10.1f}{median(i, 'views_per_s'):10.1f}{median(i, 'peak_mib'):10.0f}")

    def best(indices):
        return max(indices, key=lambda i: median(i, "views_per_s"))

    def ratio(title, mine, other):
        print(f"{title}: {median(mine, 'views_per_s') / median(other, 'views_per_s'):.2f}x the speed, "
              f"{median(mine, 'peak_mib') / median(other, 'peak_mib'):.2f}x the memory "
              f"({results[mine][0]['program']} against {results[other][0]['program']})")

    peers = range(len(ours), len(contestants))
    for i, precision in enumerate(precisions):
        ratio(precision, i, best([j for j in peers if results[j][0]["program"].endswith(precision)]))
    ratio("best against best", best(range(len(ours))), best(peers))
    if options.out:
        Path(options.out).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
