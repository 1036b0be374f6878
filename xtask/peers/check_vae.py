"""Checks the peers of the VAE benchmark, as check.py does those of the training step: on a
small network, with the same parameters, rows and draws, PyTorch (eager and compiled) and
JAX must give the same losses, gradients and states of the chains as the formulas written
out in float64 NumPy, whose gradients are central differences, and the same parameters
after three steps of RMSProp. Prints the largest deviations; fails above a tolerance.

    python check_vae.py
"""

import os
import sys
import types

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import torch

import vae_step as peers
from operations import jax_operations, torch_operations

VISIBLE, HIDDEN, LATENTS, BATCH, SAMPLES, LAG, BETA, STEPS = 6, [4, 3], 2, 5, 3, 10, 0.7, 3
TOLERANCE = 2e-6  # sums of some ten float32 terms; the central differences are off by 1e-9
DRAWS = 200_000


# ---------------------------------------------------------------- float64, written out


def log_bernoulli(p, x, z):
    """log p(x | z), unit by unit, of [B, K]."""
    w1, b1, w2, b2, w3, b3 = p
    h = np.maximum(np.maximum(z @ w1 + b1, 0) @ w2 + b2, 0) @ w3 + b3
    sigmoid = 1 / (1 + np.exp(-h))
    x = x[:, None]
    return (x * np.log(sigmoid) + (1 - x) * np.log(1 - sigmoid)).sum(-1)


def posterior(p, x):
    w1, b1, w2, b2, wm, bm, ws, bs = p
    h = np.maximum(np.maximum(x @ w1 + b1, 0) @ w2 + b2, 0)
    return h @ wm + bm, np.log1p(np.exp(h @ ws + bs))


def log_normal(z, mean, std):
    return (-0.5 * ((z - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)).sum(-1)


def softmax(log_w):
    w = np.exp(log_w - log_w.max(-1, keepdims=True))
    return w / w.sum(-1, keepdims=True)


def log_weights(p, x, noise, density):
    """With mean and std of the density of q from the parameters `density`."""
    mean, std = posterior(p[:8], x)
    z = mean[:, None] + std[:, None] * noise
    log_p = log_bernoulli(p[8:], x, z) + log_normal(z, 0.0, 1.0)
    mean, std = posterior(density[:8], x)
    return log_p - log_normal(z, mean[:, None], std[:, None])


def differences(loss, params):
    """Central differences of `loss` in all entries of `params`."""
    grads = []
    for a in params:
        grad = np.zeros_like(a)
        for i in np.ndindex(a.shape):
            kept, values = a[i], []
            for step in (1e-5, -1e-5):
                a[i] = kept + step
                values.append(loss())
            a[i] = kept
            grad[i] = (values[0] - values[1]) / 2e-5
        grads.append(grad)
    return grads


def iwae(p, x, noise):
    """The loss and its gradients."""
    loss = lambda: -np.log(np.exp(log_weights(p, x, noise, p)).mean(1)).mean()
    return loss(), differences(loss, p)


def expected(params, x, noise):
    """What `result` gives, and the parameters after some steps of RMSProp."""
    p = [a.astype(np.float64) for a in params]
    fixed = [a.copy() for a in p]
    log_w = log_weights(p, x, noise, fixed)
    squared = softmax(log_w) ** 2
    of_phi = differences(lambda: -(squared * log_weights(p, x, noise, fixed)).sum() / BATCH, p[:8])

    mean, std = posterior(fixed[:8], x)
    z = [mean[:, None] + std[:, None] * sign * noise for sign in (1, -1)]
    weights = [softmax(log_weights(fixed, x, sign * noise, fixed)) for sign in (1, -1)]

    def of_chains():
        one, two = [(w * log_bernoulli(p[8:], x, z)).sum() for w, z in zip(weights, z)]
        return -(one - two) / (BATCH * LAG)

    results = [np.log(np.exp(log_w).mean(1)), *iwae(p, x, noise)[1], *of_phi]
    results += differences(of_chains, p[8:])
    squares = [0.0 * a for a in p]
    for _ in range(STEPS):
        for a, s, g in zip(p, squares, iwae(p, x, noise)[1]):
            s[...] = peers.DECAY * s + (1 - peers.DECAY) * g * g
            a -= peers.LEARNING_RATE * g / (np.sqrt(s) + peers.EPSILON)
    return results, p


def expected_chains(kept, draws):
    """The points of both chains' states before the first and the second choice."""
    (slot, noise, _), (slot2, noise2, _) = draws
    first = np.repeat(noise[None], 2, 0).astype(np.float64)
    second = first.copy()
    for c in range(2):
        for b in range(BATCH):
            first[c, b, slot[b]] = kept[c, b]
            a = slot2[b]
            second[c, b, a] = kept[c, b]
            for k in [*range(a + 1, SAMPLES), *range(a - 1, -1, -1)]:
                before = second[c, b, k - 1 if k > a else k + 1]
                second[c, b, k] = BETA * before + np.sqrt(1 - BETA**2) * noise2[b, k]
    return first, second


# ----------------------------------------------------------------------- the peers


def peer_of(cls, params, x, noise):
    """A peer's `result` alone, without what it would be timed by."""
    peer = object.__new__(cls)
    peer.inputs = types.SimpleNamespace(params=params, x=x, noise=noise)
    peer.lag, peer.torch = LAG, torch
    return peer


def torch_results(params, x, noise, compiled):
    softplus = peers.torch_softplus if compiled else peers.torch_softplus_function()
    peer = peer_of(peers.Torch, params, x, noise)
    peer.f = f = torch_operations(softplus)
    p = [torch.from_numpy(a.copy()).requires_grad_() for a in params]
    squares = [torch.zeros_like(a) for a in p]
    x, noise = torch.from_numpy(x), torch.from_numpy(noise)
    loss = lambda p: peers.iwae_loss(f, p, x, noise)
    rmsprop = lambda p, g: peers.torch_rmsprop(p, g, squares)
    if compiled:
        loss = torch.compile(loss, fullgraph=True, dynamic=False)
        rmsprop = torch.compile(rmsprop, fullgraph=True, dynamic=False)
    for _ in range(STEPS):
        grads = torch.autograd.grad(loss(p), p)
        with torch.no_grad():
            rmsprop(p, list(grads))
    return [a.numpy() for a in peer.result()], [a.detach().numpy() for a in p]


def jax_results(params, x, noise):
    peer = peer_of(peers.Jax, params, x, noise)
    peer.f = f = jax_operations()
    p, squares = [jnp.asarray(a) for a in params], [jnp.zeros_like(a) for a in params]
    grads = jax.jit(jax.grad(lambda p: peers.iwae_loss(f, p, x, noise)))
    for _ in range(STEPS):
        p, squares = peers.jax_rmsprop(p, grads(p), squares)
    return peer.result(), p


def check_chains(name, f, array, rng):
    """Where points come to lie, and the law of the coupled choice."""
    kept = rng.standard_normal((2, BATCH, LATENTS)).astype(np.float32)
    draw = lambda: (
        rng.integers(SAMPLES, size=BATCH),
        rng.standard_normal((BATCH, SAMPLES, LATENTS)).astype(np.float32),
        None,
    )
    draws = (draw(), draw())
    first, second = expected_chains(kept, draws)
    (slot, noise, _), (slot2, noise2, _) = draws
    table = array(peers.autoregression(BETA, SAMPLES))
    one = peers.assemble(f, array(kept), array(slot), array(noise))
    two = peers.autoregressive(f, array(kept), array(slot2), array(noise2), table)
    off = max(np.abs(np.asarray(one) - first).max(), np.abs(np.asarray(two) - second).max())

    w = np.array([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6]])
    tiled = np.repeat(w[:, None], DRAWS, 1).astype(np.float32)
    u = rng.random((4, DRAWS)).astype(np.float32)
    chosen = np.asarray(peers.choose(f, array(tiled), array(u)))
    joint = np.zeros((3, 3))
    np.add.at(joint, (chosen[0], chosen[1]), 1 / DRAWS)
    shared, left, right = w.min(0), np.clip(w[0] - w[1], 0, 1), np.clip(w[1] - w[0], 0, 1)
    law = np.diag(shared) + np.outer(left, right) / left.sum()
    alone = np.bincount(np.asarray(peers.choose(f, array(tiled[:1]), array(u)))[0], minlength=3) / DRAWS
    # Twelve frequencies within 5 of their largest standard error: a false alarm in 1e-5 runs.
    worst = max(np.abs(joint - law).max(), np.abs(alone - w[0]).max())
    print(f"{name:14} states off by {off:.1e}, frequencies of the coupled choice by {worst:.4f}")
    assert worst < 5 * 0.5 / DRAWS**0.5, "the chains do not choose by their weights"
    return off


def main():
    rng = np.random.default_rng(7)
    params = [
        (0.7 * rng.standard_normal(shape)).astype(np.float32)
        for shape in peers.shapes(VISIBLE, HIDDEN, LATENTS)
    ]
    x = (rng.random((BATCH, VISIBLE)) < 0.4).astype(np.float32)
    noise = rng.standard_normal((BATCH, SAMPLES, LATENTS)).astype(np.float32)
    results, after = expected(params, x.astype(np.float64), noise.astype(np.float64))
    far = lambda ours, theirs: max(np.abs(np.asarray(a) - b).max() for a, b in zip(ours, theirs, strict=True))
    worst = 0.0
    for name, (result, steps) in [
        ("torch-eager", torch_results(params, x, noise, False)),
        ("torch-compile", torch_results(params, x, noise, True)),
        ("jax", jax_results(params, x, noise)),
    ]:
        deviations = (far(result, results), far(steps, after))
        worst = max(worst, *deviations)
        print(
            f"{name:14} deviation from float64: bounds and gradients %.1e, parameters after %d steps %.1e"
            % (deviations[0], STEPS, deviations[1])
        )
    softplus = peers.torch_softplus_function()
    worst = max(worst, check_chains("torch", torch_operations(softplus), torch.from_numpy, rng))
    worst = max(worst, check_chains("jax", jax_operations(), jnp.asarray, rng))

    print(f"max deviation {worst:.1e} (tolerance {TOLERANCE:.0e})")
    if worst > TOLERANCE:
        sys.exit("the peers do not agree")


if __name__ == "__main__":
    main()
