"""A peer as a process that answers lines `CASE key=value ...` with lines of JSON, as `cargo bench --bench cases -- serve` does.

Of several ways to write a case in one library the fastest at the first request is kept; its name is in the answer.

    python serve.py torch 4
"""

import importlib
import json
import sys

from setup_env import limit, measure

library, threads = sys.argv[1], int(sys.argv[2])
answers, sys.stdout = sys.stdout, sys.stderr  # what a library says of itself is no answer
limit(threads)
peer = importlib.import_module(f"cases_{library}")
peer.start(threads)
chosen = {}

for line in sys.stdin:
    name, *pairs = line.split()
    r = dict(p.split("=", 1) for p in pairs)
    budget = float(r.pop("budget", 0.3))
    key = (name, *sorted(r.items()))
    try:
        ways = peer.ways(name, r)
        if key not in chosen:
            chosen[key] = min(ways, key=lambda w: measure(ways[w], min(budget, 0.2))["min_s"])
        answer = measure(ways[chosen[key]], budget) | {"way": chosen[key]}
    except Exception as e:  # a peer that cannot do a case is left out
        answer = {"error": f"{type(e).__name__}: {str(e)[:200]}"}
    print(json.dumps(answer), file=answers, flush=True)
