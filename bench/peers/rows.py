"""Runs the rows of bench/rows.cpp and rows_torch.py in turn and prints one table of medians and ratios."""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MANY_PAIRS = 131072  # their similarity matrix would take 256 GiB: no row of PyTorch's beside it, and one run, of minutes
# name, what is counted, whether more is better
ROWS = [("views32", "views/s, one core", True), ("views224", "views/s, one core", True), ("folder", "pictures/s, both cores", True),
        ("nt_xent", "ms", False), ("many_pairs", f"ms, {MANY_PAIRS:,} pairs", False), ("knn", "ms", False), ("votes", "", True)]


def run(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def make_folder(photographs, folder, count=1000, size=(500, 375)):
    """JPEGs of one size at quality 90, cut out of photographs; the same ones again where there are too few."""
    from PIL import Image, ImageOps

    sources = sorted(p for p in Path(photographs).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not sources:
        sys.exit(f"no photographs in {photographs}")
    target = Path(folder) / "all"
    target.mkdir(parents=True)
    for i in range(count):
        with Image.open(sources[i % len(sources)]) as source:
            ImageOps.fit(source.convert("RGB"), size).save(target / f"{i:04}.jpg", quality=90)
    return target


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ours", help="the program built from bench/rows.cpp")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", default=",".join(name for name, _, _ in ROWS))
    parser.add_argument("--photographs", help="folder of photographs of which the row `folder` makes its 1,000 JPEGs")
    options = parser.parse_args()
    wanted = options.rows.split(",")
    torch = [sys.executable, HERE / "rows_torch.py"]
    with tempfile.TemporaryDirectory() as scratch:
        print(f"{'row':12}{'counted':26}{'sslcake':>10}{'peer':>10}{'ratio':>8}{'MiB':>7}{'MiB':>7}  peer")
        for name, unit, more in ROWS:
            if name not in wanted:
                continue
            if name == "many_pairs":
                mine = run([options.ours, "nt_xent", MANY_PAIRS])
                print(f"{name:12}{unit:26}{mine['value']:10.4g}{'-':>10}{'-':>8}{mine['peak_mib']:7.0f}{'-':>7}", flush=True)
                continue
            if name == "votes":
                queries = run([options.ours, name, scratch])["value"]
                share = run([*torch, name, scratch])["value"]
                print(f"{name:12}both give {share * queries:,.0f} of {queries:,.0f} queries the same class (k = 200)", flush=True)
                continue
            extra = []
            if name == "folder":
                if not options.photographs:
                    print(f"{name:12}skipped: --photographs names no folder of photographs")
                    continue
                extra = [make_folder(options.photographs, scratch)]
            peers = [[*torch, name, *extra, "--workers", n] for n in ((0, 1, 2, 4) if name == "folder" else (0,))]
            ours, theirs = [], [[] for _ in peers]
            for _ in range(options.rounds):
                ours.append(run([options.ours, name, *extra]))
                for results, command in zip(theirs, peers):
                    results.append(run(command))

            def median(results, key):
                return statistics.median(r[key] for r in results)

            best = (max if more else min)(theirs, key=lambda results: median(results, "value"))
            mine, other = median(ours, "value"), median(best, "value")
            print(f"{name:12}{unit:26}{mine:10.4g}{other:10.4g}{mine / other if more else other / mine:7.1f}x"
                  f"{median(ours, 'peak_mib'):7.0f}{median(best, 'peak_mib'):7.0f}  {best[0]['program']}", flush=True)


if __name__ == "__main__":
    main()
