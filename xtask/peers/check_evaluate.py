"""Checks the peers of the evaluation benchmark: on a small network PyTorch (eager and
compiled) and JAX must give the same log p(x) from given latents as the formulas written out in
float64 NumPy, and from their own samples the exact log p(x), a sum over all latent states, to
within the error of the samples. Prints the largest deviations; fails above a tolerance.

    python check_evaluate.py
"""

import itertools
import os
import sys
import tempfile
import types

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np

import evaluate as peers
from rws_step import initial_parameters, split

# The last batch has fewer rows than the others.
VISIBLE, LAYERS, ROWS, BATCH, SAMPLES = 6, [4, 3], 200, 60, 1000
TOLERANCE = 2e-6  # relative to the largest, of sums of some ten float32 terms
STANDARD_ERRORS = 5.0  # a false alarm in two million


def log_bernoulli(s, z):
    return (s * z - np.logaddexp(0, z)).sum(-1)


def log_weights(params, mean, x, h):
    """log p(x, h) and log q(h | x) for latents [..., n] of each layer."""
    recognition, generative, top = split([p.astype(np.float64) for p in params])
    below, inputs = [x, *h], [x - mean, *h]
    log_q = sum(log_bernoulli(h[l], inputs[l] @ r + c) for l, (r, c) in enumerate(recognition))
    log_p = sum(log_bernoulli(below[l], h[l] @ w + b) for l, (w, b) in enumerate(generative))
    return log_p + log_bernoulli(h[-1], top), log_q


def log_mean_exp(log_w):
    return np.logaddexp.reduce(log_w, 1) - np.log(log_w.shape[1])


def main():
    rng = np.random.default_rng(7)
    params = [
        (a + 0.25 * rng.standard_normal(a.shape)).astype(np.float32)
        for a in initial_parameters(VISIBLE, LAYERS)
    ]
    mean = rng.random(VISIBLE).astype(np.float32)
    data = (rng.random((ROWS, VISIBLE)) < 0.4).astype(np.float32)
    n = peers.GIVEN_ROWS * peers.GIVEN_SAMPLES
    latents = [(rng.random((n, n_l)) < 0.5).astype(np.float32) for n_l in LAYERS]

    x = np.repeat(data[: peers.GIVEN_ROWS], peers.GIVEN_SAMPLES, axis=0).astype(np.float64)
    log_p, log_q = log_weights(params, mean, x, [h.astype(np.float64) for h in latents])
    from_latents = log_mean_exp((log_p - log_q).reshape(peers.GIVEN_ROWS, -1))

    states = np.array(list(itertools.product([0.0, 1.0], repeat=sum(LAYERS))))
    h = np.split(states, np.cumsum(LAYERS)[:-1], axis=1)
    log_p, log_q = log_weights(params, mean, data[:, None].astype(np.float64), h)
    exact = np.logaddexp.reduce(log_p, 1)
    assert np.allclose(np.logaddexp.reduce(log_q, 1), 0), "q does not sum to 1"
    # Of log 1/K sum w: the variance of w / p(x) over K, and half of that too low.
    variance = (np.exp(2 * (log_p - exact[:, None]) - log_q).sum(1) - 1) / SAMPLES
    error = np.sqrt(variance.sum()) / ROWS

    worst, far = 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        inputs = os.path.join(folder, "inputs.f32")
        flat = np.concatenate([a.ravel() for a in [*params, mean, data, *latents]])
        flat.astype("<f4").tofile(inputs)
        for framework in ["torch-eager", "torch-compile", "jax"]:
            args = types.SimpleNamespace(
                framework=framework, inputs=inputs, result=None, layers=LAYERS, visible=VISIBLE,
                rows=ROWS, batch=BATCH, samples=SAMPLES, threads=2,
            )  # fmt: skip
            peer = (peers.Jax if framework == "jax" else peers.Torch)(args)
            for _ in peer.batches:
                peer.step()
            estimates = np.concatenate([np.asarray(a, np.float64) for a in peer.latest])
            deviation = np.abs(np.asarray(peer.from_latents()) - from_latents).max()
            deviation /= np.abs(from_latents).max()
            errors = (estimates - exact + variance / 2).mean() / error
            worst, far = max(worst, deviation), max(far, abs(errors))
            print(
                f"{framework:14} {peer.samples_at_once:4} samples at a time; from given latents off by "
                f"{deviation:.1e} (relative); mean log p(x) {estimates.mean():.5f}, exactly "
                f"{exact.mean():.5f}: off by {errors:.1f} standard errors of the samples"
            )
    if worst > TOLERANCE or far > STANDARD_ERRORS:
        sys.exit("the peers do not estimate log p(x)")


if __name__ == "__main__":
    main()
