"""Training steps of a variational autoencoder, in PyTorch (eager or torch.compile) and
JAX (jit): the peers of the VAE benchmark.

    python vae_step.py --framework torch-eager|torch-compile|jax \
        --inputs FILE --result FILE --rows 1000 --visible 784 --hidden 200,200 --latents 20 \
        --batch 100 --samples 10 --lag 10 --beta 0.9 --threads 2

The inputs hold the parameters, in the order that `shapes` states, data [rows, visible]
and noise [batch * samples, latents], as little-endian float32. Served as serve.py
says, with commands of its own:

    run N     the IWAE step: a batch of rows chosen at random; their K samples by fresh
              noise; the K-sample bound; its gradients through everything; RMSProp
    phi N     the same for the encoder alone, by the doubly reparameterised gradient, and
              RMSProp of all parameters, the decoder's by the gradients that the chains left
    alone N   one iteration of one chain, with its part of the decoder's gradient
    pair N    one iteration of both chains, with their signed part
    meet N    one iteration of both chains and no gradient: the one in which they meet
    result    writes what the method of that name lists to the file named for it, in this
              form, for the parameters of the inputs, their first batch and noise

All but the last answer {"ms": [one per call]}. An iteration of a chain is a step of
iterated sampling importance resampling, with fresh noise in all slots but one, and one
whose slots follow an autoregression with coefficient beta. A chain runs in every row of
a fixed batch, and does not stop: a run is reckoned from its iterations by the caller.

The formulas are written once, for the operations of either framework.
"""

import math
import os

import serve
from nade import read_inputs
from operations import jax_operations, torch_operations
from rws_step import torch_softplus, torch_softplus_function

WARM_UP = 20
LEARNING_RATE, DECAY, EPSILON = 5e-4, 0.99, 1e-8
ENCODER, DECODER = slice(0, 8), slice(8, 14)


def shapes(visible, hidden, latents):
    """Those of the parameters: weights and biases of the encoder's two hidden layers, of
    the mean, of what softplus makes the standard deviation of, of the decoder's two
    hidden layers and of the logits."""
    below, above = hidden
    sizes = [(visible, below), (below, above), (above, latents), (above, latents)]
    sizes += [(latents, above), (above, below), (below, visible)]
    return [shape for m, n in sizes for shape in [(m, n), (n,)]]


# ------------------------------------------------------------------- the formulas


def encode(f, encoder, x):
    """Mean and standard deviation of q(z | x): [B, latents] each."""
    w1, b1, w2, b2, wm, bm, ws, bs = encoder
    h = f.relu(f.linear(f.relu(f.linear(x, w1, b1)), w2, b2))
    return f.linear(h, wm, bm), f.softplus(f.linear(h, ws, bs))


def log_likelihood(f, decoder, x, z):
    """log p(x | z): [..., B, K] for z [..., B, K, latents] and x [B, visible]."""
    w1, b1, w2, b2, w3, b3 = decoder
    h = f.relu(f.linear(z.reshape(-1, z.shape[-1]), w1, b1))
    logits = f.linear(f.relu(f.linear(h, w2, b2)), w3, b3).reshape(*z.shape[:-1], -1)
    return (x[:, None] * logits - f.softplus(logits)).sum(-1)


def bounds(f, params, x, noise):
    """log 1/K sum_k w_k of each row. At z = mean + std noise, whatever depends on noise
    alone is a constant of log q, so that its total derivative is that of -log std."""
    mean, std = encode(f, params[ENCODER], x)
    z = mean[:, None] + std[:, None] * noise
    log_ratio = 0.5 * (noise * noise - z * z).sum(-1) + f.log(std).sum(-1)[:, None]
    log_w = log_likelihood(f, params[DECODER], x, z) + log_ratio
    return f.logsumexp(log_w) - math.log(noise.shape[1])


def iwae_loss(f, params, x, noise):
    return -bounds(f, params, x, noise).sum() / x.shape[0]


def phi_loss(f, encoder, decoder, x, noise):
    """What descends along the doubly reparameterised gradient: the weights' squares and
    the parameters of the density of q are constants. Also gives mean and std."""
    mean, std = encode(f, encoder, x)
    z = mean[:, None] + std[:, None] * noise
    away = (z - f.stop(mean)[:, None]) / f.stop(std)[:, None]
    log_ratio = 0.5 * (away * away - z * z).sum(-1) + f.stop(f.log(std).sum(-1))[:, None]
    log_w = log_likelihood(f, decoder, x, z) + log_ratio
    weights = f.softmax(f.stop(log_w))
    return -(weights * weights * log_w).sum() / x.shape[0], (f.stop(mean), f.stop(std))


def autoregression(beta, samples):
    """[a, k, j]: how much of slot j's noise, or of the kept point for j = a, there is in
    slot k, if the chain of slots starts from slot a in both directions."""
    import numpy as np

    table = np.zeros((samples, samples, samples), np.float32)
    for a in range(samples):
        for k in range(samples):
            step = 1 if k >= a else -1
            for j in range(a, k + step, step):
                table[a, k, j] = beta ** abs(k - j) * (1.0 if j == a else (1.0 - beta**2) ** 0.5)
    return table


def assemble(f, kept, slot, noise):
    """The kept point of each chain in the slot that the chains share, noise elsewhere:
    [chains, B, K, latents] for kept [chains, B, latents]."""
    here = (f.arange(noise.shape[1]) == slot[:, None])[:, :, None]
    return f.where(here, kept[:, :, None], noise[None])


def autoregressive(f, kept, slot, noise, table):
    """The same, with the slots on either side of the kept point an autoregression."""
    return f.einsum("bkj,cbjd->cbkd", table[slot], assemble(f, kept, slot, noise))


def chain_loss(f, decoder, x, mean, std, xi, lag):
    """The loss whose gradient is the part of one chain's state `xi` [1, B, K, latents], or
    of two chains' in turn with opposite signs, in that of the decoder, averaged over rows
    and `lag` iterations; and the weights of the state's points."""
    z = mean[:, None] + std[:, None] * xi
    log_p = log_likelihood(f, decoder, x, z)
    # A constant of the row is left out: the weights are normalised.
    weights = f.softmax(f.stop(log_p) + 0.5 * (xi * xi - z * z).sum(-1))
    signed = f.stack([weights[0], -weights[1]]) if len(weights) == 2 else weights
    return -(signed * log_p).sum() / (x.shape[0] * lag), weights


def pick(w, u):
    """Index k with probability w_k / sum w: [B] for w [B, K] and u [B] in [0, 1)."""
    below = w.cumsum(1) <= (u * w.sum(1))[:, None]
    return below.sum(1).clip(max=w.shape[1] - 1)


def choose(f, w, u):
    """One index for each chain, [chains, B]; those of two chains by the maximal coupling.
    `w` [chains, B, K] sums to 1 over K; `u` is [4, B]."""
    if w.shape[0] == 1:
        return pick(w[0], u[0])[None]
    shared = f.minimum(w[0], w[1])
    together = u[0] < shared.sum(1)
    one = pick(shared, u[1])
    return f.stack([f.where(together, one, pick(w[i] - shared, u[2 + i])) for i in range(2)])


def iteration(f, decoder, x, mean, std, kept, draws, table, lag):
    """An iteration of one chain or two: ISIR, then the autoregressive one, each with
    draws of its own, slot [B], noise [B, K, latents] and uniforms [4, B]. Gives the
    `chain_loss` of the state after it, and the points that the chains keep."""

    def keep(xi, weights, uniforms):
        return f.take(xi, choose(f, weights, uniforms)[:, :, None, None], 2)[:, :, 0]

    (slot, noise, uniforms), (slot2, noise2, uniforms2) = draws
    xi = assemble(f, kept, slot, noise)
    constant = [f.stop(p) for p in decoder]
    _, weights = chain_loss(f, constant, x, mean, std, xi, lag)
    kept = keep(xi, weights, uniforms)
    xi = autoregressive(f, kept, slot2, noise2, table)
    loss, weights = chain_loss(f, decoder, x, mean, std, xi, lag)
    return loss, keep(xi, weights, uniforms2)


# ---------------------------------------------------------------------- the inputs


class Inputs:
    """What the peers are given, as float32 arrays."""

    def __init__(self, args):
        parameters = shapes(args.visible, args.hidden, args.latents)
        noise = (args.batch, args.samples, args.latents)
        arrays = read_inputs(args.inputs, [*parameters, (args.rows, args.visible), noise])
        *self.params, self.data, self.noise = arrays
        self.x = self.data[: args.batch]
        self.table = autoregression(args.beta, args.samples)


def commands(peer, args):
    """What a peer answers besides `run`."""

    def repeated(function):
        return lambda count: {"ms": serve.timed(function, int(count))[1]}

    def write_result():
        import numpy as np

        flat = np.concatenate([np.asarray(part).ravel() for part in peer.result()]).astype("<f4")
        flat.tofile(args.result)
        return {"written": flat.size}

    times = {name: repeated(getattr(peer, name)) for name in ["phi", "alone", "pair", "meet"]}
    return {**times, "result": write_result}


# ------------------------------------------------------------------------ PyTorch


def torch_rmsprop(params, grads, squares):
    """RMSProp without momentum, in place."""
    import torch

    torch._foreach_mul_(squares, DECAY)
    torch._foreach_addcmul_(squares, grads, grads, value=1 - DECAY)
    scale = torch._foreach_sqrt(squares)
    torch._foreach_add_(scale, EPSILON)
    torch._foreach_addcdiv_(params, grads, scale, value=-LEARNING_RATE)


class Torch:
    def __init__(self, args):
        import torch

        self.torch, self.version = torch, torch.__version__
        torch.set_num_threads(args.threads)
        torch.manual_seed(2)
        self.threads = torch.get_num_threads()
        self.inputs = inputs = Inputs(args)
        self.lag = args.lag
        self.params = [torch.from_numpy(a.copy()).requires_grad_() for a in inputs.params]
        squares = [torch.zeros_like(p) for p in self.params]
        data, table = torch.from_numpy(inputs.data), torch.from_numpy(inputs.table)
        fixed = torch.from_numpy(inputs.x)
        batch, samples, latents = inputs.noise.shape
        softplus, compiled = torch_softplus_function(), lambda function: function
        if args.framework == "torch-compile":
            import torch._inductor.config as inductor

            # Eager's random numbers are three times as fast as inductor's own on a CPU.
            inductor.fallback_random = True
            inductor.compile_threads = 1  # no pool of worker processes left behind
            softplus = torch_softplus
            compiled = lambda function: torch.compile(function, fullgraph=True, dynamic=False)
        self.f = f = torch_operations(softplus)

        def proposals():
            x = data.index_select(0, torch.randint(data.shape[0], (batch,)))
            return x, torch.randn(batch, samples, latents)

        def draws():
            slot = torch.randint(samples, (batch,))
            return slot, torch.randn(batch, samples, latents), torch.rand(4, batch)

        @compiled
        def iwae(params):
            return iwae_loss(f, params, *proposals())

        @compiled
        def phi(encoder, decoder):
            return phi_loss(f, encoder, decoder, *proposals())

        @compiled
        def iterate(decoder, mean, std, kept):
            return iteration(f, decoder, fixed, mean, std, kept, (draws(), draws()), table, self.lag)

        @compiled
        def rmsprop(params, grads):
            torch_rmsprop(params, grads, squares)

        def update():
            with torch.no_grad():
                rmsprop(self.params, [p.grad for p in self.params])

        def step():
            for p in self.params:
                p.grad = None
            loss = iwae(self.params)
            loss.backward()
            update()
            return loss.detach()

        def clear():
            for p in self.params[DECODER]:
                p.grad = torch.zeros_like(p)

        def phi_step():
            for p in self.params[ENCODER]:
                p.grad = None
            loss, _ = phi(self.params[ENCODER], [p.detach() for p in self.params[DECODER]])
            loss.backward()
            update()
            clear()

        clear()
        with torch.no_grad():
            mean, std = encode(f, self.params[ENCODER], fixed)
        self.kept = {chains: torch.randn(chains, batch, latents) for chains in (1, 2)}

        def chain(chains, with_gradient):
            decoder = self.params[DECODER]
            if not with_gradient:
                decoder = [p.detach() for p in decoder]
            loss, self.kept[chains] = iterate(decoder, mean, std, self.kept[chains])
            if with_gradient:
                loss.backward()

        self.step, self.phi = step, phi_step
        self.alone = lambda: chain(1, True)
        self.pair = lambda: chain(2, True)
        self.meet = lambda: chain(2, False)

    def loss(self, value):
        return value.item()

    def result(self):
        """The bounds of the first batch [B]; the gradients of the IWAE loss; those of the
        encoder by `phi_loss`; those of the decoder by `chain_loss` for two chains whose
        states are the noise and its negative."""
        torch, f = self.torch, self.f
        x, noise = torch.from_numpy(self.inputs.x), torch.from_numpy(self.inputs.noise)
        params = [torch.from_numpy(a.copy()).requires_grad_() for a in self.inputs.params]
        encoder, decoder = params[ENCODER], params[DECODER]
        of_bounds = bounds(f, params, x, noise)
        whole = torch.autograd.grad(-of_bounds.mean(), params)
        loss, (mean, std) = phi_loss(f, encoder, [p.detach() for p in decoder], x, noise)
        of_phi = torch.autograd.grad(loss, encoder)
        xi = torch.stack([noise, -noise])
        of_chains = torch.autograd.grad(chain_loss(f, decoder, x, mean, std, xi, self.lag)[0], decoder)
        return [of_bounds.detach(), *whole, *of_phi, *of_chains]


# -------------------------------------------------------------------------- JAX


def jax_rmsprop(params, grads, squares):
    """RMSProp without momentum."""
    import jax
    import jax.numpy as jnp

    squares = jax.tree.map(lambda s, g: DECAY * s + (1 - DECAY) * g * g, squares, grads)
    params = jax.tree.map(
        lambda p, g, s: p - LEARNING_RATE * g / (jnp.sqrt(s) + EPSILON), params, grads, squares
    )
    return params, squares


class Jax:
    def __init__(self, args):
        import jax
        import jax.numpy as jnp

        self.version, self.threads = jax.__version__, args.threads
        self.inputs = inputs = Inputs(args)
        self.lag = args.lag
        self.f = f = jax_operations()
        batch, samples, latents = inputs.noise.shape
        params = [jnp.asarray(a) for a in inputs.params]
        data, table, fixed = map(jnp.asarray, (inputs.data, inputs.table, inputs.x))
        self.state = (params, [jnp.zeros_like(a) for a in params], jax.random.key(2))

        def proposals(key, data):
            rows, noise = jax.random.split(key)
            x = data[jax.random.randint(rows, (batch,), 0, data.shape[0])]
            return x, jax.random.normal(noise, (batch, samples, latents))

        def draws(key):
            slot, noise, uniforms = jax.random.split(key, 3)
            slot = jax.random.randint(slot, (batch,), 0, samples)
            noise = jax.random.normal(noise, (batch, samples, latents))
            return slot, noise, jax.random.uniform(uniforms, (4, batch))

        def iwae(state, data):
            params, squares, key = state
            key, now = jax.random.split(key)
            loss, grads = jax.value_and_grad(lambda p: iwae_loss(f, p, *proposals(now, data)))(params)
            return (*jax_rmsprop(params, grads, squares), key), loss

        def phi(state, data, of_decoder):
            params, squares, key = state
            key, now = jax.random.split(key)
            loss = lambda e: phi_loss(f, e, params[DECODER], *proposals(now, data))[0]
            grads = [*jax.grad(loss)(params[ENCODER]), *of_decoder]
            return (*jax_rmsprop(params, grads, squares), key)

        def iterate(chain, decoder, x, mean, std, table, with_gradient):
            """The gradient's sum so far, or None, is the first of what a chain carries."""
            total, kept, key = chain
            key, *now = jax.random.split(key, 3)

            def loss(decoder):
                return iteration(f, decoder, x, mean, std, kept, map(draws, now), table, self.lag)

            if not with_gradient:
                return total, loss(decoder)[1], key
            grads, kept = jax.grad(loss, has_aux=True)(decoder)
            return [a + b for a, b in zip(total, grads)], kept, key

        iwae, phi = jax.jit(iwae, donate_argnums=0), jax.jit(phi, donate_argnums=0)
        iterate = jax.jit(iterate, donate_argnums=0, static_argnums=6)
        mean, std = encode(f, params[ENCODER], fixed)
        of_decoder = [jnp.zeros_like(a) for a in params[DECODER]]
        self.chains = {
            n: (
                [jnp.zeros_like(a) for a in of_decoder],
                jax.random.normal(jax.random.key(n), (n, batch, latents)),
                jax.random.key(10 + n),
            )
            for n in (1, 2)
        }

        def step():
            self.state, loss = iwae(self.state, data)
            jax.block_until_ready((self.state, loss))
            return loss

        def phi_step():
            self.state = phi(self.state, data, of_decoder)
            jax.block_until_ready(self.state)

        def chain(n, with_gradient):
            decoder = self.state[0][DECODER]
            self.chains[n] = iterate(self.chains[n], decoder, fixed, mean, std, table, with_gradient)
            jax.block_until_ready(self.chains[n])

        self.step, self.phi = step, phi_step
        self.alone = lambda: chain(1, True)
        self.pair = lambda: chain(2, True)
        self.meet = lambda: chain(2, False)

    def loss(self, value):
        return float(value)

    def result(self):
        """As that of `Torch`."""
        import jax
        import jax.numpy as jnp

        f, x, noise = self.f, jnp.asarray(self.inputs.x), jnp.asarray(self.inputs.noise)
        params = [jnp.asarray(a) for a in self.inputs.params]
        encoder, decoder = params[ENCODER], params[DECODER]
        whole = jax.grad(lambda p: iwae_loss(f, p, x, noise))(params)
        of_phi, (mean, std) = jax.grad(
            lambda e: phi_loss(f, e, decoder, x, noise), has_aux=True
        )(encoder)
        xi = jnp.stack([noise, -noise])
        of_chains = jax.grad(lambda d: chain_loss(f, d, x, mean, std, xi, self.lag)[0])(decoder)
        return [bounds(f, params, x, noise), *whole, *of_phi, *of_chains]


def main():
    parser = serve.parser("A peer for steps of a VAE.", ["torch-eager", "torch-compile", "jax"], batch=100)
    parser.add_argument("--inputs", required=True, metavar="FILE")
    parser.add_argument("--result", required=True, metavar="FILE")
    parser.add_argument("--hidden", default="200,200", type=lambda s: [int(n) for n in s.split(",")])
    parser.add_argument("--latents", default=20, type=int)
    parser.add_argument("--rows", default=1000, type=int)
    parser.add_argument("--samples", default=10, type=int)
    parser.add_argument("--lag", default=10, type=int)
    parser.add_argument("--beta", default=0.9, type=float)
    args = parser.parse_args()

    def make():
        if args.framework == "jax":
            os.environ["NPROC"] = str(args.threads)  # the size of XLA's thread pool
            os.environ["JAX_PLATFORMS"] = "cpu"
        peer = Jax(args) if args.framework == "jax" else Torch(args)
        for function in (peer.phi, peer.alone, peer.pair, peer.meet):
            serve.timed(function, 5)
        peer.commands = commands(peer, args)
        return peer

    serve.serve(args.framework, make, WARM_UP)


if __name__ == "__main__":
    main()
