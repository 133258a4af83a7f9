"""The target gmm40 and the settings of the run, as the library has them."""

import math
import sys

import numpy as np

# of the command line: threads, steps, seed
THREADS, STEPS, SEED = (int(a) for a in sys.argv[1:4])
BATCH, REFERENCE, CODES, WIDTH = 1024, 4096, 256, 128
RATE, H_START, H_END, ANNEAL = 2e-3, 1.2, 0.03, 0.4
NEIGHBOURS, CLIP, REACTION, LARGEST = 60.0, 4.0, 0.05, 2.0
NOISE, REACH = 0.1, 0.3


def target():
    """Means (40 x 2) and standard deviation: uniforms of MT19937 seed 0, as torch draws them."""
    bits = np.random.MT19937()
    bits._legacy_seeding(0)
    u = (bits.random_raw(80) & 0xFFFFFF).astype(np.float32) / np.float32(2**24)
    return ((u - np.float32(0.5)) * np.float32(80)).astype(np.float64).reshape(40, 2), math.log1p(math.e)


def frame(means, std):
    """Centre and overall scale."""
    centre = means.mean(0)
    return centre, math.sqrt(std**2 + means.var(0).mean())


def bandwidth(step):
    return H_START * (H_END / H_START) ** min(step / (ANNEAL * STEPS), 1.0)


def resolved(enough):
    """The smallest bandwidth that is enough, to 5 % by bisection."""
    low, high = H_END, H_START
    if enough(low):
        return low
    while high > 1.05 * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def rate(step):
    return RATE * 0.5 * (1 + math.cos(math.pi * step / STEPS))


def total_variation(samples, means):
    """Between the fractions of samples nearest to each mode and 1/40; the mixture's own cells differ from 1/40 by less than 0.01."""
    square = ((samples[:, None, :] - means[None]) ** 2).sum(-1)
    mass = np.bincount(square.argmin(1), minlength=len(means)) / len(samples)
    return 0.5 * np.abs(mass - 1 / len(means)).sum()
