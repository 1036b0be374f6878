"""One reweighted wake-sleep training step of a sigmoid belief network, or one step of a
bidirectional Helmholtz machine on the same stack, in PyTorch (eager or torch.compile)
and JAX (jit): the peers of the training-step benchmark.

    python rws_step.py --framework torch-eager|torch-compile|jax --strategy rws|bihm \
        --layers 200,200,200 --visible 784 --batch 100 --samples 10 --threads 2

Served as serve.py says, with one command of its own:

    gemm M K N REPEATS LAYOUT  {"ms": [one per product]}, a float32 matmul [M,K] x [K,N]; with the layout
                               `turned`, the first lies as [K,M] and is transposed, with `plain` as it is

The step: a batch of rows chosen at random from a fixed binary matrix; K samples
per row from q, drawn layer by layer; w = softmax over K of log p(x,h) - log q(h|x),
held constant; the loss -mean_b sum_k w (log p + log q); its gradients by autodiff;
Adam. The first recognition layer runs on B rows, and x is never repeated K times.
That of `bihm` has the softmax of half of the log weights, and w - 1/K beside log q.
"""

import functools
import os

import serve

WARM_UP = 30
ROWS = 1000
LEARNING_RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


def initial_parameters(visible, layers, seed=0):
    """A flat list of float32 arrays: recognition (R, c) from x up, generative (W, b)
    from x up, and last the top layer's bias a. Glorot-uniform weights, zero biases."""
    import numpy as np

    rng = np.random.default_rng(seed)

    def glorot(fan_in, fan_out):
        bound = (6.0 / (fan_in + fan_out)) ** 0.5
        return rng.uniform(-bound, bound, (fan_in, fan_out)).astype(np.float32)

    sizes = [visible, *layers]
    zeros = lambda n: np.zeros(n, np.float32)
    recognition = [a for m, n in zip(sizes, sizes[1:]) for a in (glorot(m, n), zeros(n))]
    generative = [a for m, n in zip(sizes, sizes[1:]) for a in (glorot(n, m), zeros(m))]
    return recognition + generative + [zeros(sizes[-1])]


def split(params):
    """The list of `initial_parameters` as (recognition pairs, generative pairs, a)."""
    depth = (len(params) - 1) // 4
    pairs = list(zip(params[0:-1:2], params[1:-1:2]))
    return pairs[:depth], pairs[depth:], params[-1]


# The power that weights are raised to before they are normalised.
POWERS = {"rws": 1.0, "bihm": 0.5}


def objective(log_p, log_q, weights, strategy):
    """What the step ascends, summed over the batch, for log p(x, h), log q(h | x) and
    normalised weights [B, K]."""
    baseline = 1.0 / weights.shape[1] if strategy == "bihm" else 0.0
    return (weights * log_p + (weights - baseline) * log_q).sum()


def data_matrix(visible, rows=ROWS, seed=1):
    import numpy as np

    return (np.random.default_rng(seed).random((rows, visible)) < 0.13).astype(np.float32)


# ---------------------------------------------------------------------- PyTorch


def torch_softplus(z):
    """relu(z) + log(1 + exp(-|z|)): several times the speed of torch's own softplus
    on a CPU (its log1p is not vectorised well), and as exact in float32 here."""
    import torch

    return torch.relu(z) + torch.log(1.0 + torch.exp(-z.abs()))


@functools.cache
def torch_softplus_function():
    """The same for eager mode, with its derivative, the sigmoid, written out, so that
    autograd does not walk back through five elementwise operations."""
    import torch

    class Softplus(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return z.abs().neg_().exp_().add_(1.0).log_().add_(torch.relu(z))

        @staticmethod
        def backward(ctx, grad):
            (z,) = ctx.saved_tensors
            return torch.sigmoid(z).mul_(grad)

    return Softplus.apply


def torch_first_logits(params, x, mean):
    """Those of the first recognition layer, which sees each row once: [B, n]."""
    import torch

    return torch.addmm(params[1], x - mean, params[0])


def torch_log_joints(params, x, first, samples, draw, softplus):
    """log p(x, h) and log q(h | x), [B, K] each, of K samples of each row; `first` is what
    `torch_first_logits` gives. `draw(layer, logits)` gives the samples: [B, K, n] of the
    first layer for logits [B, n], [B * K, n] of a later one for logits [B * K, n]."""
    import torch

    recognition, generative, top = split(params)
    batch = x.shape[0]
    shape = (batch, samples)
    hidden = []
    for layer, (r, c) in enumerate(recognition):
        if layer == 0:
            h = draw(0, first.detach())
            log_q = (h * first.unsqueeze(1)).sum(2) - softplus(first).sum(1, keepdim=True)
            h = h.reshape(batch * samples, -1)
        else:
            z = torch.addmm(c, h, r)
            h = draw(layer, z.detach())
            log_q = log_q + (h * z - softplus(z)).sum(1).view(shape)
        hidden.append(h)
    log_p = torch.mv(hidden[-1], top).view(shape) - softplus(top).sum()
    for layer, (w, b) in enumerate(generative):
        z = torch.addmm(b, hidden[layer], w)
        if layer == 0:
            z = z.view(batch, samples, -1)
            log_p = log_p + (x.unsqueeze(1) * z - softplus(z)).sum(2)
        else:
            log_p = log_p + (hidden[layer - 1] * z - softplus(z)).sum(1).view(shape)
    return log_p, log_q


def torch_loss(params, x, mean, samples, draw, softplus, strategy):
    """`draw` as for `torch_log_joints`."""
    import torch

    first = torch_first_logits(params, x, mean)
    log_p, log_q = torch_log_joints(params, x, first, samples, draw, softplus)
    weights = torch.softmax((log_p - log_q).detach() * POWERS[strategy], 1)
    return -objective(log_p, log_q, weights, strategy) / x.shape[0]


def torch_draw(samples):
    import torch

    def draw(layer, logits):
        p = torch.sigmoid(logits)
        if layer == 0:
            p = p.unsqueeze(1).expand(-1, samples, -1)
        return (torch.rand(p.shape) < p).to(p.dtype)

    return draw


def torch_compile_settings():
    import torch._inductor.config as inductor

    # Eager's random numbers are three times as fast as inductor's own on a CPU.
    inductor.fallback_random = True
    inductor.compile_threads = 1  # no pool of worker processes left behind


def torch_adam(params):
    import torch

    return torch.optim.Adam(params, lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, fused=True)


class Torch:
    def __init__(self, args):
        import torch

        self.torch, self.version = torch, torch.__version__
        torch.set_num_threads(args.threads)
        torch.manual_seed(2)
        self.threads = torch.get_num_threads()
        self.commands = {"gemm": gemm_command(self.gemm)}
        params = [
            torch.from_numpy(a).requires_grad_() for a in initial_parameters(args.visible, args.layers)
        ]
        data = torch.from_numpy(data_matrix(args.visible))
        mean = data.mean(0)
        draw = torch_draw(args.samples)
        optimiser = torch_adam(params)

        def forward():
            x = data.index_select(0, torch.randint(data.shape[0], (args.batch,)))
            return torch_loss(params, x, mean, args.samples, draw, softplus, args.strategy)

        softplus = torch_softplus_function()
        if args.framework == "torch-compile":
            torch_compile_settings()
            softplus = torch_softplus
            forward = torch.compile(forward, fullgraph=True, dynamic=False)

        def step():
            loss = forward()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            return loss

        self.step = step

    def loss(self, value):
        return value.item()

    def gemm(self, m, k, n, turned):
        a, b = self.torch.randn((k, m) if turned else (m, k)), self.torch.randn(k, n)
        return (lambda: self.torch.mm(a.T, b)) if turned else (lambda: self.torch.mm(a, b))


# -------------------------------------------------------------------------- JAX


def jax_softplus(z):
    """As `torch_softplus`; a tenth of the step faster than jax.nn.softplus."""
    import jax.numpy as jnp

    return jnp.maximum(z, 0.0) + jnp.log(1.0 + jnp.exp(-jnp.abs(z)))


def jax_first_logits(params, x, mean):
    """As `torch_first_logits`."""
    return (x - mean) @ params[0] + params[1]


def jax_log_joints(params, x, first, samples, draw):
    """As `torch_log_joints`."""
    import jax

    softplus, constant = jax_softplus, jax.lax.stop_gradient
    recognition, generative, top = split(params)
    batch = x.shape[0]
    shape = (batch, samples)
    hidden = []
    for layer, (r, c) in enumerate(recognition):
        if layer == 0:
            h = draw(0, constant(first))
            log_q = (h * first[:, None, :]).sum(2) - softplus(first).sum(1, keepdims=True)
            h = h.reshape(batch * samples, -1)
        else:
            z = h @ r + c
            h = draw(layer, constant(z))
            log_q = log_q + (h * z - softplus(z)).sum(1).reshape(shape)
        hidden.append(h)
    log_p = (hidden[-1] @ top).reshape(shape) - softplus(top).sum()
    for layer, (w, b) in enumerate(generative):
        z = hidden[layer] @ w + b
        if layer == 0:
            z = z.reshape(batch, samples, -1)
            log_p = log_p + (x[:, None, :] * z - softplus(z)).sum(2)
        else:
            log_p = log_p + (hidden[layer - 1] * z - softplus(z)).sum(1).reshape(shape)
    return log_p, log_q


def jax_loss(params, x, mean, samples, draw, strategy):
    """As `torch_loss`."""
    import jax

    first = jax_first_logits(params, x, mean)
    log_p, log_q = jax_log_joints(params, x, first, samples, draw)
    weights = jax.nn.softmax(jax.lax.stop_gradient(log_p - log_q) * POWERS[strategy], 1)
    return -objective(log_p, log_q, weights, strategy) / x.shape[0]


def jax_draw(key, samples):
    import jax
    import jax.numpy as jnp

    def draw(layer, logits):
        p = jax.nn.sigmoid(logits)
        if layer == 0:
            p = jnp.broadcast_to(p[:, None, :], (p.shape[0], samples, p.shape[1]))
        uniform = jax.random.uniform(jax.random.fold_in(key, layer), p.shape)
        return (uniform < p).astype(p.dtype)

    return draw


def jax_settings(threads):
    """Before jax is imported."""
    os.environ["NPROC"] = str(threads)  # the size of XLA's thread pool
    os.environ["JAX_PLATFORMS"] = "cpu"


def jax_adam(params, grads, m, v, t):
    import jax
    import jax.numpy as jnp

    t = t + 1
    c1, c2 = 1 - BETA1**t, 1 - BETA2**t
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, grads)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, grads)
    params = jax.tree.map(
        lambda p, m, v: p - LEARNING_RATE / c1 * m / (jnp.sqrt(v / c2) + EPSILON), params, m, v
    )
    return params, m, v, t


class Jax:
    def __init__(self, args):
        import jax
        import jax.numpy as jnp

        self.jax, self.version = jax, jax.__version__
        self.threads = args.threads
        self.commands = {"gemm": gemm_command(self.gemm)}
        params = [jnp.asarray(a) for a in initial_parameters(args.visible, args.layers)]
        zeros = lambda: [jnp.zeros_like(a) for a in params]
        data = jnp.asarray(data_matrix(args.visible))
        mean = data.mean(0)
        self.state = (params, zeros(), zeros(), jnp.zeros((), jnp.float32), jax.random.key(2))

        def step(state, data, mean):
            params, m, v, t, key = state
            key, rows, draws = jax.random.split(key, 3)
            x = data[jax.random.randint(rows, (args.batch,), 0, data.shape[0])]
            loss, grads = jax.value_and_grad(jax_loss)(
                params, x, mean, args.samples, jax_draw(draws, args.samples), args.strategy
            )
            return (*jax_adam(params, grads, m, v, t), key), loss

        compiled = jax.jit(step, donate_argnums=0)

        def advance():
            self.state, loss = compiled(self.state, data, mean)
            jax.block_until_ready((self.state, loss))
            return loss

        self.step = advance

    def loss(self, value):
        return float(value)

    def gemm(self, m, k, n, turned):
        jax = self.jax
        one, two = jax.random.split(jax.random.key(3))
        a, b = jax.random.normal(one, (k, m) if turned else (m, k)), jax.random.normal(two, (k, n))
        product = jax.jit((lambda a, b: a.T @ b) if turned else (lambda a, b: a @ b))
        return lambda: product(a, b).block_until_ready()


# ---------------------------------------------------------------------- serving


def gemm_command(gemm):
    """The command `gemm` of a peer whose method of that name makes a product to repeat."""

    def command(m, k, n, repeats, layout):
        product = gemm(int(m), int(k), int(n), {"plain": False, "turned": True}[layout])
        serve.timed(product, 3)
        return {"ms": serve.timed(product, int(repeats))[1]}

    return command


def main():
    parser = serve.parser("A training-step peer.", ["torch-eager", "torch-compile", "jax"], batch=100)
    parser.add_argument("--layers", default="200,200,200", type=lambda s: [int(n) for n in s.split(",")])
    parser.add_argument("--samples", default=10, type=int)
    parser.add_argument("--strategy", default="rws", choices=list(POWERS))
    args = parser.parse_args()

    def make():
        if args.framework == "jax":
            jax_settings(args.threads)
            return Jax(args)
        return Torch(args)

    serve.serve(args.framework, make, WARM_UP)


if __name__ == "__main__":
    main()
