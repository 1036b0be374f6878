"""log p(x) of a sigmoid belief network by importance sampling, in PyTorch (eager or
torch.compile) and JAX (jit): the peers of the evaluation benchmark.

    python evaluate.py --framework torch-eager|torch-compile|jax \\
        --inputs FILE --result FILE --layers 200,200,200 --visible 784 --rows 1000 --batch 100 \\
        --samples 1000 --threads 2

The inputs hold the parameters in the order of `initial_parameters` of rws_step.py, the
mean that the recognition net subtracts [visible], data [rows, visible], and latents of
K' = 10 samples of each of the first 20 rows, [20 * K', n] from the lowest layer up, as
little-endian float32. Served as serve.py says, with commands of its own:

    run N       the estimates of the next N batches of the data, and of the first again
                after the last; the warm-up ends with the last, so that N = rows / batch
                is one pass
    result      writes the estimates of the first 20 rows from the given latents [20] to the
                file named for it
    estimates   writes the latest estimates of all rows [rows] there
    chunk       {"samples": how many samples of each row are drawn at a time}

The estimate of a row is log 1/K sum_k p(x, h_k) / q(h_k | x), with h_k drawn layer by
layer from q. The first recognition layer runs once for each row. Samples pass in
chunks, and the log of the sum of their weights is carried from one chunk to the next.
No gradients are kept. The size of a chunk is that with which the peer was fastest at its
start: `candidates` are tried in turns, three times each.
"""

import functools
import math

import serve
from nade import read_inputs
from rws_step import (
    jax_draw,
    jax_first_logits,
    jax_log_joints,
    jax_settings,
    torch_compile_settings,
    torch_draw,
    torch_first_logits,
    torch_log_joints,
    torch_softplus,
)

# (row, sample) pairs in flight, of which the fastest are chosen.
PAIRS = [500, 1000, 2000, 4000, 10000]
# What the estimates from given latents are of.
GIVEN_ROWS, GIVEN_SAMPLES = 20, 10


def shapes(visible, layers, rows):
    """Those of the inputs."""
    sizes = [visible, *layers]
    recognition = [shape for m, n in zip(sizes, sizes[1:]) for shape in [(m, n), (n,)]]
    generative = [shape for m, n in zip(sizes, sizes[1:]) for shape in [(n, m), (m,)]]
    latents = [(GIVEN_ROWS * GIVEN_SAMPLES, n) for n in layers]
    return [*recognition, *generative, (layers[-1],), (visible,), (rows, visible), *latents]


def candidates(batch, samples):
    """Divisors of K, so that all chunks have one shape, for some number of pairs in flight."""
    divisors = [n for n in range(1, samples + 1) if samples % n == 0]
    return sorted({max([n for n in divisors if n * batch <= pairs], default=1) for pairs in PAIRS})


class Inputs:
    """What the peers are given, as float32 arrays."""

    def __init__(self, args):
        depth = len(args.layers)
        arrays = read_inputs(args.inputs, shapes(args.visible, args.layers, args.rows))
        *self.params, self.mean, self.data = arrays[:-depth]
        # The samples of a row lie together.
        self.latents = [a.reshape(GIVEN_ROWS, GIVEN_SAMPLES, -1) for a in arrays[-depth:]]


def given(latents, first, samples):
    """A `draw` that gives samples first .. first + samples of the latents [B, K', n]."""

    def draw(layer, _):
        h = latents[layer][:, first : first + samples]
        return h if layer == 0 else h.reshape(-1, h.shape[-1])

    return draw


class Peer:
    """What is the same for both frameworks. One has `to_tensor`, `estimate(x, samples at a
    time)`, which waits for the result, and `from_latents()`."""

    def __init__(self, args):
        self.inputs = Inputs(args)
        data = self.inputs.data
        self.batches = [self.to_tensor(data[i : i + args.batch]) for i in range(0, args.rows, args.batch)]
        self.latest = [None] * len(self.batches)
        self.next = 0
        self.commands = {
            "result": lambda: self.write(args.result, self.from_latents()),
            "estimates": lambda: self.write(args.result, *self.latest),
            "chunk": lambda: {"samples": self.samples_at_once},
        }
        self.args = args

    def choose_chunk(self):
        """Sets the number of samples at a time with which a batch is done soonest."""
        x = self.batches[0]
        sizes = candidates(len(x), self.args.samples)
        for size in sizes:
            self.estimate(x, size)  # compiles
        best = {size: math.inf for size in sizes}
        for _ in range(3):
            for size in sizes:
                (ms,) = serve.timed(lambda: self.estimate(x, size), 1)[1]
                best[size] = min(best[size], ms)
        self.samples_at_once = min(sizes, key=best.get)

    def step(self):
        i = self.next
        self.next = (i + 1) % len(self.batches)
        self.latest[i] = self.estimate(self.batches[i], self.samples_at_once)
        return self.latest[i]

    def loss(self, estimates):
        return -float(estimates.mean())

    def write(self, path, *parts):
        import numpy as np

        flat = np.concatenate([np.asarray(part) for part in parts]).astype("<f4")
        flat.tofile(path)
        return {"written": flat.size}


# ---------------------------------------------------------------------- PyTorch


def torch_softplus_constant(z):
    """As `torch_softplus`, in fewer passes: relu(z) - log sigmoid(|z|), without a gradient."""
    import torch

    return torch.relu(z).sub_(z.abs().sigmoid_().log_())


def torch_add_weights(params, x, first, total, samples, draw, softplus):
    """`total` [B], the log of the sum of weights so far, with those of K samples more."""
    import torch

    log_p, log_q = torch_log_joints(params, x, first, samples, draw, softplus)
    return torch.logaddexp(total, torch.logsumexp(log_p - log_q, 1))


class Torch(Peer):
    def __init__(self, args):
        import torch

        self.torch, self.version = torch, torch.__version__
        torch.set_num_threads(args.threads)
        torch.manual_seed(2)
        self.threads = torch.get_num_threads()
        self.to_tensor = torch.from_numpy
        super().__init__(args)
        self.params = [torch.from_numpy(a) for a in self.inputs.params]
        self.mean = torch.from_numpy(self.inputs.mean)
        self.compiles = args.framework == "torch-compile"
        self.softplus = torch_softplus if self.compiles else torch_softplus_constant
        if self.compiles:
            torch_compile_settings()
        self.first_logits = self.compiled(lambda x: torch_first_logits(self.params, x, self.mean))
        self.adder = functools.cache(self.adder)
        self.choose_chunk()

    def compiled(self, function):
        if not self.compiles:
            return function
        return self.torch.compile(function, fullgraph=True, dynamic=False)

    def adder(self, samples):
        """The function that takes in the weights of so many samples from q."""
        params, softplus, draw = self.params, self.softplus, torch_draw(samples)

        def add(x, first, total):
            return torch_add_weights(params, x, first, total, samples, draw, softplus)

        return self.compiled(add)

    def accumulate(self, x, chunks, add):
        """The log of the mean weight, [B], of all chunks."""
        torch = self.torch
        with torch.inference_mode():
            first = self.first_logits(x)
            total = torch.full((len(x),), -math.inf)
            for chunk in chunks:
                total = add(chunk, x, first, total)
        return total

    def estimate(self, x, samples):
        add, k = self.adder(samples), self.args.samples
        sums = self.accumulate(x, range(0, k, samples), lambda _, *state: add(*state))
        return sums - math.log(k)

    def from_latents(self):
        latents, half = [self.torch.from_numpy(a) for a in self.inputs.latents], GIVEN_SAMPLES // 2
        x = self.torch.from_numpy(self.inputs.data[:GIVEN_ROWS])

        def add(start, x, first, total):
            draw = given(latents, start, half)
            return torch_add_weights(self.params, x, first, total, half, draw, self.softplus)

        sums = self.accumulate(x, [0, half], self.compiled(add))
        return sums - math.log(GIVEN_SAMPLES)


# -------------------------------------------------------------------------- JAX


def jax_estimate(params, x, mean, chunks, samples, total, draw_of):
    """As `Torch.accumulate`: `samples` in each of `chunks`, which `draw_of` makes draws
    of, `total` of them altogether."""
    import jax
    import jax.numpy as jnp

    first = jax_first_logits(params, x, mean)

    def add(sums, chunk):
        log_p, log_q = jax_log_joints(params, x, first, samples, draw_of(chunk))
        return jnp.logaddexp(sums, jax.nn.logsumexp(log_p - log_q, 1)), None

    sums, _ = jax.lax.scan(add, jnp.full(len(x), -jnp.inf), chunks)
    return sums - math.log(total)


class Jax(Peer):
    def __init__(self, args):
        import jax
        import jax.numpy as jnp

        self.jax, self.version = jax, jax.__version__
        self.threads = args.threads
        self.to_tensor = jnp.asarray
        super().__init__(args)
        self.params = [jnp.asarray(a) for a in self.inputs.params]
        self.mean = jnp.asarray(self.inputs.mean)
        self.key = jax.random.key(2)

        def estimate(params, x, mean, key, samples):
            # Threefry, the default, is faster on a CPU than the generators that XLA has itself.
            keys = jax.random.split(key, args.samples // samples)
            draw_of = lambda key: jax_draw(key, samples)
            return jax_estimate(params, x, mean, keys, samples, args.samples, draw_of)

        self.compiled = jax.jit(estimate, static_argnums=4)
        self.choose_chunk()

    def estimate(self, x, samples):
        self.key, key = self.jax.random.split(self.key)
        return self.compiled(self.params, x, self.mean, key, samples).block_until_ready()

    def from_latents(self):
        import jax.numpy as jnp

        half = GIVEN_SAMPLES // 2
        x = jnp.asarray(self.inputs.data[:GIVEN_ROWS])
        # The first half of the samples, then the other: [2, 20, half, n].
        chunks = [
            jnp.stack([jnp.asarray(a[:, :half]), jnp.asarray(a[:, half:])]) for a in self.inputs.latents
        ]
        draw_of = lambda latents: given(latents, 0, half)
        estimate = self.jax.jit(
            lambda params, x, mean, chunks: jax_estimate(
                params, x, mean, chunks, half, GIVEN_SAMPLES, draw_of
            )
        )
        return estimate(self.params, x, self.mean, chunks)


def main():
    parser = serve.parser("A peer for evaluation.", ["torch-eager", "torch-compile", "jax"], batch=100)
    parser.add_argument("--inputs", required=True, metavar="FILE")
    parser.add_argument("--result", required=True, metavar="FILE")
    parser.add_argument("--layers", default="200,200,200", type=lambda s: [int(n) for n in s.split(",")])
    parser.add_argument("--rows", default=1000, type=int)
    parser.add_argument("--samples", default=1000, type=int)
    args = parser.parse_args()

    def make():
        if args.framework == "jax":
            jax_settings(args.threads)
            return Jax(args)
        return Torch(args)

    # One pass: whatever is compiled for a last batch of fewer rows is there, too.
    serve.serve(args.framework, make, warm_up=math.ceil(args.rows / args.batch))


if __name__ == "__main__":
    main()
