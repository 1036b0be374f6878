"""Scores rows by the weights that `helmholtz export` wrote, in NumPy alone.

    python load_weights.py WEIGHTS.safetensors ROWS.npy OUT.npy

writes log p(x) of each row of bits, in nats: for stacks of any layers (sbn, dsbn, darn, nade) with up to 14 latent bits in
all, a sum over all of their states; for mixtures (mob), and for restricted Boltzmann machines of bits (rbm) with up to 14
hidden units, as for models without latents, a formula. The numbers are those of

    helmholtz evaluate --weights WEIGHTS.safetensors --config run.toml --exact --per-example OUT.npy

to 1e-5 times the number of units. The names and formulas are those of docs/reference/weights.md.
"""

import sys
import tomllib

import numpy as np
from safetensors import safe_open

MOST_BITS = 14


def softplus(t):
    return np.logaddexp(0.0, t)


def sigmoid(t):
    return np.exp(-softplus(-t))


def log_sum_exp(t, axis):
    largest = t.max(axis=axis, keepdims=True)
    return (np.log(np.exp(t - largest).sum(axis=axis, keepdims=True)) + largest).squeeze(axis)


def log_bernoulli(x, logits):
    """log p of bits under logits, unit by unit."""
    return -softplus((1 - 2 * x) * logits)


def states(n):
    """All states of n bits: [2^n, n]."""
    return ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(np.float64)


class Stack:
    """p(x, h) of any layers; `tensors` by name, and the `[model]` table of the config."""

    def __init__(self, tensors, model):
        self.w, self.model = tensors, model
        self.depth = sum(f"generative.{l}.bias" in tensors for l in range(len(tensors)))

    def part(self, name, tensor):
        return self.w.get(f"{name}.{tensor}")

    def log_prob(self, name, kind, x, y, order):
        """log p(x | y) of a layer, for each pair of rows; y is None for a prior."""
        logits = self.part(name, "bias") + np.zeros_like(x)
        if kind == "dsbn" and y is not None:
            hidden = y @ self.part(name, "hidden_weight") + self.part(name, "hidden_bias")
            y = np.tanh(hidden) if self.model.get("activation") == "tanh" else sigmoid(hidden)
        if y is not None:
            logits = logits + y @ self.part(name, "weight")
        if kind == "darn":
            before = np.zeros((len(order), len(order)))
            place = np.argsort(order)
            before[place[:, None] < place[None, :]] = 1.0
            logits = logits + x @ (self.part(name, "recurrent") * before)
        if kind == "nade":
            hidden = self.part(name, "hidden_bias") + np.zeros((len(x), 1))
            if y is not None:
                hidden = hidden + y @ self.part(name, "hidden_weight")
            for unit in order:
                logits[:, unit] += sigmoid(hidden) @ self.part(name, "decoder")[unit]
                hidden = hidden + x[:, unit : unit + 1] * self.part(name, "encoder")[unit]
        return log_bernoulli(x, logits).sum(1)

    def score(self, x):
        kinds = self.model.get("p") or [self.model["kind"]] * (self.depth + 1)
        sizes = [x.shape[1]] + [self.w[f"generative.{l}.weight"].shape[0] for l in range(self.depth)]
        if self.model["kind"] == "dsbn":
            sizes = [x.shape[1]] + list(self.model["layers"])
        if sum(sizes[1:]) > MOST_BITS:
            sys.exit(f"{sum(sizes[1:])} latent bits: at most {MOST_BITS} can be summed over here")
        order = self.w.get("order", np.arange(x.shape[1]))
        orders = [order] + [np.arange(size) for size in sizes[1:]]
        top = self.depth
        if top == 0:
            return self.log_prob("prior", kinds[0], x, None, orders[0])
        # From the top down: log p(h_l) of every state of layer l.
        above = states(sizes[top])
        log_p = self.log_prob("prior", kinds[top], above, None, orders[top])
        for l in reversed(range(top)):
            below = x if l == 0 else states(sizes[l])
            pairs = len(below), len(above)
            each = self.log_prob(
                f"generative.{l}",
                kinds[l],
                np.repeat(below, pairs[1], axis=0),
                np.tile(above, (pairs[0], 1)),
                orders[l],
            )
            log_p = log_sum_exp(each.reshape(pairs) + log_p, axis=1)
            above = below
        return log_p


def mixture(w, x):
    log_weights = w["weights"] - log_sum_exp(w["weights"], axis=0)
    each = x @ w["logits"].T - softplus(w["logits"]).sum(1)
    return log_sum_exp(log_weights + each, axis=1)


def boltzmann(w, x):
    """-F(x) - log Z, with Z summed over the hidden units."""
    hidden = states(len(w["hidden"]))
    if hidden.shape[1] > MOST_BITS:
        sys.exit(f"{hidden.shape[1]} hidden units: at most {MOST_BITS} can be summed over here")
    log_z = log_sum_exp(hidden @ w["hidden"] + softplus(w["visible"] + hidden @ w["weight"].T).sum(1), axis=0)
    return x @ w["visible"] + softplus(w["hidden"] + x @ w["weight"]).sum(1) - log_z


def main(weights, rows, out):
    with safe_open(weights, "np") as file:
        model = tomllib.loads(file.metadata()["helmholtz.config"])["model"]
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    tensors = {name: t if t.dtype.kind == "i" else t.astype(np.float64) for name, t in tensors.items()}
    x, kind = np.load(rows).astype(np.float64), model["kind"]
    if kind in ("sbn", "dsbn", "darn", "nade"):
        scores = Stack(tensors, model).score(x)
    elif kind == "mob" and model.get("classes", 1) == 1:
        scores = mixture(tensors, x)
    elif kind == "rbm" and model["visible"] == "bernoulli" and model.get("classes", 0) == 0:
        scores = boltzmann(tensors, x)
    else:
        sys.exit(f"{weights}: this script has no formula for such a {kind}")
    np.save(out, scores)
    print(f"{-scores.mean():.6f} nats per row")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
