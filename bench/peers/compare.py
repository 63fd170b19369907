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
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--modes", default="eager,channels-last,compile")
    parser.add_argument("--out", help="also write all measurements here, as JSON")
    options = parser.parse_args()

    common = ["--batch", options.batch, "--size", options.size, "--threads", options.threads, "--steps", options.steps]
    common = list(map(str, common))
    contestants = [[options.ours, *common]]
    contestants += [[sys.executable, str(HERE / "step_torch.py"), "--mode", mode, *common] for mode in options.modes.split(",")]
    results = [[] for _ in contestants]
    for turn in range(options.rounds):
        for i, command in enumerate(contestants):
            results[i].append(run(command))
            print(f"round {turn + 1}: {results[i][-1]}", file=sys.stderr)

    def median(i, key):
        return statistics.median(r[key] for r in results[i])

    print(f"SimCLR step, ResNet-18 (3x3 stem), {options.batch} pictures of {options.size}x{options.size} in two views, "
          f"float32, {options.threads} threads; medians of {options.rounds} interleaved runs of {options.steps} steps")
    print(f"{'':34}{'ms/step':>10}{'views/s':>10}{'peak MiB':>10}{'our speed':>11}{'our memory':>12}")
    for i in range(len(contestants)):
        speed = median(0, "views_per_s") / median(i, "views_per_s")
        memory = median(0, "peak_mib") / median(i, "peak_mib")
        print(f"{results[i][0]['program']:34}{median(i, 'ms_per_step'):10.1f}{median(i, 'views_per_s'):10.1f}"
              f"{median(i, 'peak_mib'):10.0f}{speed:10.2f}x{memory:11.2f}x")
    best = max(range(1, len(contestants)), key=lambda i: median(i, "views_per_s"))
    print(f"against its best mode here ({results[best][0]['program']}): {median(0, 'views_per_s') / median(best, 'views_per_s'):.2f}x the speed")
    if options.out:
        Path(options.out).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
