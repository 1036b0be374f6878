"""Checks that the peers do the same step, that of `rws` and that of `bihm`: on a small
network, with the same parameters, rows and samples, PyTorch (eager and compiled) and JAX
must give the same loss and gradients as the formulas written out in float64 NumPy, and
the same parameters after three Adam steps. Prints the largest deviations; fails above a float32 tolerance.

    python check.py
"""

import os
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import torch

import rws_step as peers

VISIBLE, LAYERS, BATCH, SAMPLES, STEPS = 6, [4, 3], 5, 3, 3
TOLERANCE = 2e-6


def numpy_loss_and_grads(params, x, mean, h, strategy):
    """The step's loss and gradients, term by term; x is repeated here."""
    recognition, generative, top = peers.split([p.astype(np.float64) for p in params])
    h = [layer.reshape(BATCH * SAMPLES, -1).astype(np.float64) for layer in h]
    x = np.repeat(x.astype(np.float64), SAMPLES, axis=0)
    sigmoid = lambda z: 1 / (1 + np.exp(-z))
    log_bernoulli = lambda s, z: (s * np.log(sigmoid(z)) + (1 - s) * np.log(sigmoid(-z))).sum(1)
    below, inputs = [x, *h], [x - mean, *h]
    logits_q = [inputs[l] @ r + c for l, (r, c) in enumerate(recognition)]
    logits_p = [h[l] @ w + b for l, (w, b) in enumerate(generative)]
    log_q = sum(log_bernoulli(h[l], z) for l, z in enumerate(logits_q))
    log_p = sum(log_bernoulli(below[l], z) for l, z in enumerate(logits_p))
    log_p = log_p + log_bernoulli(h[-1], np.broadcast_to(top, h[-1].shape))
    log_w = (log_p - log_q).reshape(BATCH, SAMPLES)
    if strategy == "bihm":
        log_w = 0.5 * log_w
    w = np.exp(log_w - log_w.max(1, keepdims=True))
    w = (w / w.sum(1, keepdims=True)).reshape(-1, 1) / BATCH
    w_q = w - 1 / (BATCH * SAMPLES) if strategy == "bihm" else w
    grads = []
    for l, z in enumerate(logits_q):
        delta = -w_q * (h[l] - sigmoid(z))
        grads += [inputs[l].T @ delta, delta.sum(0)]
    for l, z in enumerate(logits_p):
        delta = -w * (below[l] - sigmoid(z))
        grads += [h[l].T @ delta, delta.sum(0)]
    grads.append((-w * (h[-1] - sigmoid(top))).sum(0))
    return -(w[:, 0] * log_p + w_q[:, 0] * log_q).sum(), grads


def numpy_steps(params, x, mean, h, strategy):
    p = [a.astype(np.float64) for a in params]
    m, v = [0.0 * a for a in p], [0.0 * a for a in p]
    for t in range(1, STEPS + 1):
        _, grads = numpy_loss_and_grads(p, x, mean, h, strategy)
        m = [peers.BETA1 * a + (1 - peers.BETA1) * g for a, g in zip(m, grads)]
        v = [peers.BETA2 * a + (1 - peers.BETA2) * g * g for a, g in zip(v, grads)]
        c1, c2 = 1 - peers.BETA1**t, 1 - peers.BETA2**t
        p = [
            a - peers.LEARNING_RATE * (b / c1) / (np.sqrt(c / c2) + peers.EPSILON)
            for a, b, c in zip(p, m, v)
        ]
    return p


def torch_results(params, x, mean, h, strategy, compiled):
    p = [torch.from_numpy(a.copy()).requires_grad_() for a in params]
    x, mean, h = torch.from_numpy(x), torch.from_numpy(mean), [torch.from_numpy(a) for a in h]

    def loss():
        softplus = peers.torch_softplus if compiled else peers.torch_softplus_function()
        return peers.torch_loss(p, x, mean, SAMPLES, lambda layer, _: h[layer], softplus, strategy)

    if compiled:
        loss = torch.compile(loss, fullgraph=True, dynamic=False)
    optimiser = peers.torch_adam(p)
    first = None
    for _ in range(STEPS):
        optimiser.zero_grad(set_to_none=True)
        value = loss()
        value.backward()
        first = first or (value.item(), [a.grad.numpy().copy() for a in p])
        optimiser.step()
    return (*first, [a.detach().numpy() for a in p])


def jax_results(params, x, mean, h, strategy):
    function = jax.jit(
        jax.value_and_grad(
            lambda p: peers.jax_loss(p, x, mean, SAMPLES, lambda layer, _: jnp.asarray(h[layer]), strategy)
        )
    )
    p = [jnp.asarray(a) for a in params]
    m, v, t = [0 * a for a in p], [0 * a for a in p], jnp.float32(0)
    first = None
    for _ in range(STEPS):
        value, grads = function(p)
        first = first or (float(value), grads)
        p, m, v, t = peers.jax_adam(p, grads, m, v, t)
    return (*first, p)


def main():
    rng = np.random.default_rng(7)
    params = [
        (a + 0.5 * rng.standard_normal(a.shape)).astype(np.float32)
        for a in peers.initial_parameters(VISIBLE, LAYERS)
    ]
    x = (rng.random((BATCH, VISIBLE)) < 0.4).astype(np.float32)
    mean = rng.random(VISIBLE).astype(np.float32)
    h = [(rng.random((BATCH * SAMPLES, n)) < 0.5).astype(np.float32) for n in LAYERS]
    h[0] = h[0].reshape(BATCH, SAMPLES, -1)

    worst = 0.0
    for strategy in peers.POWERS:
        loss, grads = numpy_loss_and_grads(params, x, mean, h, strategy)
        after = numpy_steps(params, x, mean, h, strategy)
        for name, result in [
            ("torch-eager", torch_results(params, x, mean, h, strategy, False)),
            ("torch-compile", torch_results(params, x, mean, h, strategy, True)),
            ("jax", jax_results(params, x, mean, h, strategy)),
        ]:
            far = lambda ours, theirs: max(np.abs(np.asarray(a) - b).max() for a, b in zip(ours, theirs))
            deviations = (abs(result[0] - loss) / abs(loss), far(result[1], grads), far(result[2], after))
            worst = max(worst, *deviations)
            print(
                f"{strategy:4} {name:14} loss {result[0]:.6f}  deviation from float64: "
                "loss %.1e (relative), gradients %.1e, parameters after %d steps %.1e"
                % (*deviations[:2], STEPS, deviations[2])
            )

    # The samplers: the mean of many draws is the sigmoid of the logits, row by row.
    logits, many = rng.standard_normal((2, 4)).astype(np.float32), 20000
    for name, draw in [
        ("torch", lambda: peers.torch_draw(many)(0, torch.from_numpy(logits)).numpy()),
        ("jax", lambda: np.asarray(peers.jax_draw(jax.random.key(0), many)(0, jnp.asarray(logits)))),
    ]:
        drawn = draw()
        assert drawn.shape == (2, many, 4) and set(np.unique(drawn)) == {0.0, 1.0}
        off = np.abs(drawn.mean(1) - 1 / (1 + np.exp(-logits))).max()
        print(f"{name:14} samples: mean off by {off:.4f} in {many} draws")
        assert off < 0.02, "the samples do not follow their logits"

    print(f"max deviation {worst:.1e} (tolerance {TOLERANCE:.0e})")
    if worst > TOLERANCE:
        sys.exit("the peers do not agree")


if __name__ == "__main__":
    main()
