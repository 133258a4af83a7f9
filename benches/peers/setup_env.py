"""Thread limits, set before any library is imported, and the timer of all peers."""

import os
import time


def limit(threads):
    for v in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"):
        os.environ[v] = str(threads)  # NPROC: XLA's pool on a CPU
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["THP_MEM_ALLOC_ENABLE"] = "1"  # torch: huge pages for large temporaries
    flags = ["--xla_cpu_multi_thread_eigen=false"] * (threads == 1)
    if isa := os.environ.get("PEERS_ISA"):  # the widest vectors that torch, its oneDNN and MKL, and XLA may use
        os.environ["ATEN_CPU_CAPABILITY"] = isa
        os.environ["ONEDNN_MAX_CPU_ISA"] = os.environ["MKL_ENABLE_INSTRUCTIONS"] = isa.upper()
        flags.append(f"--xla_cpu_max_isa={isa.upper()}")
    os.environ["XLA_FLAGS"] = " ".join(flags)


def measure(call, budget):
    """Median and smallest wall time of `call`, which blocks until its result is ready: at least three calls."""
    call()
    start, times = time.perf_counter(), []
    while len(times) < 3 or time.perf_counter() - start < budget:
        t = time.perf_counter()
        call()
        times.append(time.perf_counter() - t)
    times.sort()
    return {"median_s": times[len(times) // 2], "min_s": times[0], "reps": len(times)}
