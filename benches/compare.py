"""Runs this library and its peers in turn on one machine, pair by pair, and writes a table of ratios.

    python benches/compare.py --quick            # 3 pairs, the smaller cases, all threads, no torch.compile
    python benches/compare.py                    # 5 pairs, all cases
    python benches/compare.py --only growth      # one part: gmm40, start, cases, or growth (the plot of cost against N and d)
    python benches/compare.py --only cases --case svgd
    python benches/compare.py --isa avx2         # with both sides held to AVX2

The interpreter needs torch, jax and optax; pykeops for --keops; matplotlib for the plots. The quick mode takes about three minutes besides
the build, the full one about nine, and a quarter of an hour for gmm40. A ratio is the time of the fastest peer
over ours, the median over pairs; both sides of a pair run one after the other within a second or two, so that what else the machine
does falls on both.
"""

import argparse
import datetime
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


class Side:
    """A process that answers requests."""

    def __init__(self, name, command, threads):
        env = os.environ | {"RAYON_NUM_THREADS": str(threads)}
        self.name = name
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env, cwd=ROOT
        )

    def ask(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
            return json.loads(answer) if answer else {"error": f"{self.name} ended"}
        except BrokenPipeError:
            return {"error": f"{self.name} ended"}

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def built():
    """Paths of the benchmark and of the command."""
    out = subprocess.run(
        ["cargo", "bench", "--bench", "cases", "--no-run"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    bench = re.search(r"\((\S*cases-\S+)\)", out.stderr).group(1)
    subprocess.run(["cargo", "build", "--release", "--workspace"], cwd=ROOT, capture_output=True, check=True)
    return str(ROOT / bench), str(ROOT / "target/release/pushforward")


def peers(threads, libraries):
    return [Side(lib, [sys.executable, str(HERE / "peers/serve.py"), lib, str(threads)], threads) for lib in libraries]


def cases(quick):
    """(title, request, goal)."""
    sizes = [1024, 4096] if quick else [1024, 4096, 16384]
    for d, goals in ((2, (5, 5)), (32, (1.5, 2))):
        for dtype, goal in zip(("float32", "float64"), goals):
            for n in sizes:
                yield f"KDE, d = {d}, N = {n:,}, {dtype}", f"kde n={n} d={d} dtype={dtype}", goal
    for net, goal in (("2-128x3-2", 1.5), ("64-256x3-64", 1.2)):
        for batch in (1024, 4096):
            yield f"training step {net}, batch {batch:,}, float32", f"step net={net} batch={batch}", goal
    yield "training step of an equivariant network, 13 particles in space, 3 layers of 64, batch 512, float32", "step net=particles-64x3 batch=512", None
    for n in (4096, 16384):
        yield f"SVGD velocity, d = 2, N = {n:,}, width given, float32", f"svgd n={n} width=0.5 dtype=float32", 5
    yield "SVGD velocity, d = 2, N = 4,096, median rule, float32", "svgd n=4096 dtype=float32", 5
    yield "gradient of S_ε, N = 1,024, 100 iterations, float32", "sinkhorn n=1024 iterations=100 dtype=float32", 5
    yield "RealNVP training step, 8 couplings of 64-64, d = 2, batch 1,024, float32", "realnvp batch=1024", 1.5
    yield "sampling 65,536 points, 2-128x3-2, float32", "sample net=2-128x3-2 batch=65536", 2


def pair(ours, others, request, pairs, budget):
    """Times of each side, in turn, and our largest memory in MB."""
    line = lambda side: side.ask(f"{request} threads={side.threads} budget={budget}")
    mine, theirs, peak = [], [], 0.0
    first = {side.name: line(side) for side in others}
    able = {k: v for k, v in first.items() if "error" not in v}
    if not able:
        return None
    best = min(able, key=lambda k: able[k]["min_s"])
    side = next(s for s in others if s.name == best)
    for _ in range(pairs):
        answer = line(ours)
        mine.append(answer["median_s"])
        peak = max(peak, answer.get("peak_mb") or 0.0)
        theirs.append(line(side)["median_s"])
    ratio = statistics.median(t / m for m, t in zip(mine, theirs))
    return statistics.median(mine), statistics.median(theirs), f"{best} ({able[best]['way']})", ratio, peak


def milliseconds(s):
    return f"{s * 1e3:.3g} ms" if s < 1 else f"{s:.3g} s"


def run_cases(bench, args, libraries, rows):
    for threads in [args.threads] if args.quick else [1, args.threads]:
        # a compilation takes ten seconds or more: only where the goals are, on all threads
        os.environ["PEERS_COMPILE"] = "1" if threads == args.threads and not args.quick else "0"
        ours = Side("ours", [bench, "serve"], threads)
        others = peers(threads, libraries)
        for side in (ours, *others):
            side.threads = threads
        for title, request, goal in cases(args.quick):
            if not request.startswith(args.case):
                continue
            found = pair(ours, others, request, args.pairs, args.budget)
            if found is None:
                continue
            mine, theirs, way, ratio, peak = found
            bound, memory = share(ours, threads, request, mine), f"{peak:.0f} MB" if "n=16384" in request else ""
            rows.append((title, threads, mine, theirs, way, ratio, goal, ", ".join(filter(None, [bound, memory]))))
            said = f"; {bound} of the bound" if bound else ""
            print(f"{title}, {threads} threads: {milliseconds(mine)} against {milliseconds(theirs)} of {way}: {ratio:.2f}x{said}", flush=True)
        for side in (ours, *others):
            side.close()


def work(words, lanes):
    """(vector instructions, operations of multiply-adds) that a case cannot do without on vectors of so many numbers, or None where nobody
    counted."""
    get = dict(w.split("=", 1) for w in words[1:])
    n, d, batch = (int(get.get(key, 0)) for key in ("n", "d", "batch"))
    double = get.get("dtype") == "float64"
    widths = {"2-128x3-2": [2, 128, 128, 128, 2], "64-256x3-64": [64, 256, 256, 256, 64]}.get(get.get("net"), [])
    layers = [a * b for a, b in zip(widths, widths[1:])]
    # of a pair in the plane, and of 2^x
    plane, power = {(False, 16): (12, 8), (True, 8): (18, 13), (False, 8): (16, 11), (True, 4): (22, 17)}[double, lanes]
    match words[0]:
        case "kde" if d > 11:
            return power * n * n / lanes, 4 * (d + 1) * n * n
        case "kde" | "svgd" if words[0] == "kde" or "width" in get:
            return plane * n * n / lanes, 0
        case "step" if layers:
            # nobody asks for the gradient of the first layer's input
            return 0, 2 * batch * (3 * sum(layers) - layers[0])
        case "sample":
            return 0, 2 * batch * sum(layers)
        case "realnvp":
            # eight couplings 1-64-64-2: forward, the score, and twice backward
            return 0, 2 * batch * 8 * 4 * (64 + 64 * 64 + 2 * 64)
    return None


def share(ours, threads, request, seconds):
    """The time that the arithmetic alone takes at the rate of plain multiply-adds on this machine, over the time of the case.

    A core does two vector instructions in a cycle, multiply-adds or others, so that one stands for as many operations as a multiply-add has.
    Pairs of the plane that are left out are counted."""
    double = "dtype=float64" in request
    answer = ours.ask(f"multiply-adds dtype={'float64' if double else 'float32'} threads={threads} budget=0.1")
    wide = os.environ.get("PUSHFORWARD_ISA") != "avx2" and "avx512f" in Path("/proc/cpuinfo").read_text()
    lanes = (64 if wide else 32) // (8 if double else 4)
    counted = work(request.split(), lanes)
    if "error" in answer or not counted:
        return ""
    operations = 2 * lanes * counted[0] + counted[1]
    return f"{operations * answer['min_s'] / (threads * 2**28) / seconds:.0%}"


def whole(command):
    """Wall time, peak memory and output of a process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=HERE / "peers")
    out = process.stdout.read()
    _, _, usage = os.wait4(process.pid, 0)
    return time.perf_counter() - start, usage.ru_maxrss / 1024, out


def run_start(bench, args, rows):
    """From the start of a process to the first training step."""
    mine = [whole([bench, "first-step"])[0] for _ in range(args.pairs)]
    for lib in ("torch", "jax"):
        theirs = [whole([sys.executable, str(HERE / "peers/first_step.py"), lib])[0] for _ in range(args.pairs)]
        m, t = statistics.median(mine), statistics.median(theirs)
        rows.append(("start of the process to first training step", args.threads, m, t, lib, t / m, 100, ""))
        print(f"start to first step: {milliseconds(m)} against {milliseconds(t)} of {lib}: {t / m:.0f}x", flush=True)


# steps of the whole gmm40 run: the default and, in the full mode, a ladder of factors √2 for the time to a quality
STEPS, LADDER, QUALITY, SEEDS = 2500, (500, 707, 1000, 1414, 2000, 2828), 0.05, 3


def our_gmm40(command, args, steps, seed):
    """Seconds, megabytes and TV of one run with its report."""
    with tempfile.TemporaryDirectory() as folder:
        line = [command, "train", "gmm40", "--threads", args.threads, "--steps", steps, "--seed", seed, "--out", f"{folder}/run"]
        seconds, memory, _ = whole([str(a) for a in line])
        summary = json.loads(Path(f"{folder}/run/summary.json").read_text())
    return seconds, memory, next(m["value"] for m in summary["metrics"] if m["metric"] == "mode_mass_tv")


def peers_gmm40(lib, args, steps, seed):
    """The same of a peer, without a report."""
    seconds, memory, out = whole([sys.executable, str(HERE / f"peers/gmm40_{lib}.py"), str(args.threads), str(steps), str(seed)])
    return seconds, memory, json.loads(out)["tv"]


def to_quality(run):
    """(steps, median seconds, TVs) of the shortest run of the ladder that ends at TV <= QUALITY with every seed; steps None for the longest."""
    for steps in LADDER:
        found = []
        for seed in range(SEEDS):
            found.append(run(steps, seed))
            if found[-1][2] > QUALITY:
                break
        seconds, tvs = statistics.median(f[0] for f in found), [f[2] for f in found]
        print(f"gmm40, {steps} steps: {seconds:.1f} s, TV {', '.join(f'{t:.3f}' for t in tvs)}", flush=True)
        if max(tvs) <= QUALITY:
            return steps, seconds, tvs
    return None, seconds, tvs


def run_gmm40(command, args, rows):
    """The whole run, ours with its report, the peers' without one."""
    ours = lambda steps, seed: our_gmm40(command, args, steps, seed)
    seconds, memory, tv = ours(STEPS, 0)
    print(f"gmm40: {seconds:.1f} s, {memory:.0f} MB, TV {tv:.3f}", flush=True)
    quality = None if args.quick else to_quality(ours)
    for lib in ("torch", "jax"):
        theirs = lambda steps, seed: peers_gmm40(lib, args, steps, seed)
        total, their_memory, their_tv = theirs(STEPS, 0)
        note = f"TV {tv:.3f} against {their_tv:.3f}; {memory:.0f} MB against {their_memory:.0f} MB"
        rows.append((f"whole gmm40 run, {STEPS:,} steps", args.threads, seconds, total, lib, total / seconds, None, note))
        print(f"gmm40: {total:.1f} s of {lib}: {total / seconds:.1f}x, {note}", flush=True)
        if quality:
            steps, mine, tvs = quality
            their_steps, took, their_tvs = to_quality(theirs)
            words = lambda steps, tvs: f"{steps} steps, TV {max(tvs):.3f}" if steps else f"not within {LADDER[-1]:,} steps (its time; the ratio is a lower bound), TV {max(tvs):.3f}"
            note = f"{words(steps, tvs)} against {words(their_steps, their_tvs)}, the largest of the seeds"
            rows.append((f"whole gmm40 run to TV ≤ {QUALITY}", args.threads, mine, took, lib, took / mine, 5, note))
            print(f"gmm40 to TV {QUALITY}: {took / mine:.1f}x {lib}, {note}", flush=True)


def machine():
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*: (.*)", text)
    flags = [f for f in ("avx512f", "avx2", "fma") if re.search(rf"\b{f}\b", text)]
    family = re.search(r"cpu family\s*: (\d+)\nmodel\s*: (\d+)", text)
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    versions = subprocess.run(
        [sys.executable, "-c", "import torch, jax; print('torch', torch.__version__, 'jax', jax.__version__)"],
        capture_output=True, text=True,
    ).stdout.strip()
    rust = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip()
    return (
        f"{model.group(1) if model else platform.processor()} (family {family.group(1)}, model {family.group(2)}), "
        f"{os.cpu_count()} cores, {' '.join(flags)}; {rust}; {versions}; load at the start {load}"
    )


def table(rows, where, args):
    head = (
        f"Measured on {datetime.date.today():%d %B %Y}: {where}. Median of {args.pairs} pairs; the ratio is the time of the fastest peer over ours. "
        "The last column is the time of the arithmetic alone, at the rate of plain multiply-adds measured beside it, over ours; pairs that are left out count."
    )
    lines = [
        textwrap.fill(head, 100, break_on_hyphens=False),
        "",
        "| case | threads | ours | fastest peer | which | ratio | goal | of the bound |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for title, threads, mine, theirs, way, ratio, goal, note in rows:
        goal = f"{goal}" if goal else ""
        lines.append(f"| {title} | {threads} | {milliseconds(mine)} | {milliseconds(theirs)} | {way} | **{ratio:.2f}** | {goal} | {note} |")
    return "\n".join(lines) + "\n"


def growth(bench, args):
    """Time against N (d = 2) and against d (N = 4,096) on all threads, as an SVG; prints the exponents."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "pushforward"
    ours, torch = Side("ours", [bench, "serve"], args.threads), peers(args.threads, ["torch"])[0]

    def curve(side, case, xs, request):
        out = []
        for x in xs:
            answer = side.ask(f"{case} {request(x)} threads={args.threads} budget={args.budget}")
            if "error" in answer:
                break
            out.append((x, answer["min_s"]))
        return out

    by_n, by_d = (lambda n: f"n={n} d=2"), (lambda d: f"n=4096 d={d}")
    sizes = [2**k for k in range(10, 17)]
    dims = [1, 2, 3, 4, 6, 8, 11, 12, 16, 24, 32, 48, 64]
    left = {
        "KDE, exact, f32": curve(ours, "kde", sizes, by_n),
        "KDE, grid to 1e-4, f64": curve(ours, "grid", [2**k for k in range(12, 21)], lambda n: f"{by_n(n)} dtype=float64"),
        "torch, f32": curve(torch, "kde", sizes[:-1], by_n),
    }
    right = {"KDE, exact, f32": curve(ours, "kde", dims, by_d), "torch, f32": curve(torch, "kde", dims, by_d)}
    # one colour and mark a curve in both diagrams, safe for the colour-blind
    style = dict(zip(left, [("#0072b2", "o"), ("#e69f00", "s"), ("#009e73", "^")]))
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
    for axis, curves, label in zip(axes, (left, right), ("N, d = 2", "d, N = 4,096")):
        for name, points in curves.items():
            colour, mark = style[name]
            axis.loglog(*zip(*points), color=colour, marker=mark, markersize=3.5, label=name)
            (x0, t0), (x1, t1) = points[-3], points[-1]
            print(f"{name} against {label}: exponent at the end {math.log(t1 / t0) / math.log(x1 / x0):.2f}", flush=True)
        axis.set_xlabel(label)
        axis.set_ylabel("seconds")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(ROOT / "docs/growth.svg", metadata={"Date": None})
    ours.close(), torch.close()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--quick", action="store_true")
    p.add_argument("--keops", action="store_true", help="KeOps too: minutes of compilation at the first time, never the fastest here")
    p.add_argument("--only", choices=["gmm40", "start", "cases", "growth"])
    p.add_argument("--case", default="", help="of the cases those whose request begins so, such as svgd")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--isa", choices=["avx2"], help="hold both sides to these vectors on a machine that has wider ones")
    p.add_argument("--out", default=str(HERE / "table.md"))
    args = p.parse_args()
    args.pairs, args.budget = (3, 0.15) if args.quick else (5, 0.2)
    where = machine()
    if args.isa:
        os.environ["PUSHFORWARD_ISA"] = os.environ["PEERS_ISA"] = args.isa
        where += f"; both sides held to {args.isa}"
    bench, command = built()
    libraries = ["torch", "jax"] + ["keops"] * args.keops
    rows = []
    parts = {
        "gmm40": lambda: run_gmm40(command, args, rows),
        "start": lambda: run_start(bench, args, rows),
        "cases": lambda: run_cases(bench, args, libraries, rows),
        "growth": lambda: growth(bench, args),
    }
    for name, part in parts.items():
        if args.only == name or (not args.only and not (args.quick and name == "growth")):
            part()
            Path(args.out).write_text(table(rows, where, args))
    print(f"written to {args.out}")


if __name__ == "__main__":
    main()
