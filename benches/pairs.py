"""Times two builds of `cases.rs` in turn, pair by pair: what a change of fast code costs or saves.

    cargo bench --bench cases --no-run          # on both states; prints the executable
    python benches/pairs.py BEFORE AFTER [--pairs 15] [--threads 1 2]

Prints for each case the median of BEFORE, and the median over pairs of AFTER/BEFORE with its quartiles. A pair is two calls of 0.3 s, the
first of which alternates.
"""

import argparse
import json
import os
import statistics
import subprocess

CASES = [
    "gemm m=1024 k=128 n=128 dtype=float32", "gemm m=4096 k=64 n=64 dtype=float64", "gemm m=16 k=512 n=512 dtype=float32",
    "kde n=4096 d=2 dtype=float32", "kde n=4096 d=16 dtype=float32", "kde n=4096 d=64 dtype=float64",
    "moments n=4096 d=2 dtype=float64", "grid n=4096 d=2 dtype=float64",
    "step net=2-128x3-2 batch=1024 dtype=float32", "step net=64-256x3-64 batch=1024 dtype=float32",
    "realnvp batch=1024 dtype=float32", "sample net=2-128x3-2 batch=65536 dtype=float32",
]  # fmt: skip


class Side:
    def __init__(self, path):
        command = [path, "serve"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def time(self, line):
        print(line, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())["median_s"]


def instruction_set():
    with open("/proc/cpuinfo") as f:
        flags = f.read()
    return os.environ.get("PUSHFORWARD_ISA") or ("AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, os.cpu_count()])
    given = parser.parse_args()
    sides = Side(given.before), Side(given.after)
    print(f"{instruction_set()}, {given.pairs} pairs\n")
    print("| case | threads | before | after / before | quartiles |\n|---|---|---|---|---|")
    for case in CASES:
        for threads in given.threads:
            line = f"{case} threads={threads}"
            ratios, before = [], []
            for pair in range(given.pairs):
                order = (0, 1) if pair % 2 == 0 else (1, 0)
                times = {side: sides[side].time(line) for side in order}
                before.append(times[0])
                ratios.append(times[1] / times[0])
            low, middle, high = statistics.quantiles(ratios, n=4)
            print(f"| {case} | {threads} | {1e3 * statistics.median(before):.3g} ms | {middle:.3f} | {low:.3f} to {high:.3f} |", flush=True)


if __name__ == "__main__":
    main()
