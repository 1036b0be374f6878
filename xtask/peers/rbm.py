"""A restricted Boltzmann machine: the peers of the benchmark `rbm`.

    python rbm.py --framework torch-eager|torch-compile|jax|numpy \
        --visible 784 --hidden 500 --batch 100 --chains 100 --threads 2

Served as serve.py says. For PyTorch and JAX a step is an update with persistent chains: the
means of the hidden units of a batch of bits, one sweep of block Gibbs sampling, the means of
the hidden units of the chains, and a step of plain gradient ascent at 0.05. For NumPy it is a
temperature of annealed importance sampling: the weights of the chains, and a sweep. All in
single precision.
"""

import os

import serve

WARM_UP = 10
RATE = 0.05
ONES = 0.13
TEMPERATURES = 14_500


def start(args):
    """Connections, both biases, a batch and chains, as arrays."""
    import numpy as np

    random = np.random.default_rng(0)
    weight = 0.1 * random.standard_normal((args.visible, args.hidden))
    x = random.random((args.batch, args.visible)) < ONES
    chains = random.random((args.chains, args.visible)) < 0.5
    visible = np.full(args.visible, np.log(ONES / (1 - ONES)))
    arrays = weight, visible, np.zeros(args.hidden), x, chains
    return [array.astype(np.float32) for array in arrays]


class Torch:
    def __init__(self, args):
        import torch

        self.version = torch.__version__
        torch.set_num_threads(args.threads)
        torch.set_grad_enabled(False)
        self.threads = torch.get_num_threads()
        self.commands = {}
        self.state = [torch.from_numpy(array) for array in start(args)]

        def update(weight, visible, hidden, x, chains):
            means = torch.sigmoid(torch.addmm(hidden, x, weight))
            h = (torch.rand(chains.shape[0], hidden.shape[0])
                 < torch.sigmoid(torch.addmm(hidden, chains, weight))).float()
            chains = (torch.rand_like(chains) < torch.sigmoid(torch.addmm(visible, h, weight.t()))).float()
            of_chains = torch.sigmoid(torch.addmm(hidden, chains, weight))
            n, m = x.shape[0], chains.shape[0]
            weight = weight + RATE * (x.t() @ means / n - chains.t() @ of_chains / m)
            visible = visible + RATE * (x.mean(0) - chains.mean(0))
            hidden = hidden + RATE * (means.mean(0) - of_chains.mean(0))
            return weight, visible, hidden, x, chains

        if args.framework == "torch-compile":
            import torch._inductor.config as inductor

            inductor.compile_threads = 1  # no pool of worker processes left behind
            update = torch.compile(update, fullgraph=True, dynamic=False)
        self.update = update

    def step(self):
        self.state = self.update(*self.state)
        return self.state

    def loss(self, state):
        return state[0].square().mean().item()


class Jax:
    def __init__(self, args):
        os.environ["NPROC"] = str(args.threads)  # the size of XLA's thread pool
        os.environ["JAX_PLATFORMS"] = "cpu"
        import jax
        import jax.numpy as jnp

        self.version, self.threads, self.commands = jax.__version__, args.threads, {}
        *arrays, x, chains = [jnp.asarray(array) for array in start(args)]
        self.state = (*arrays, chains, jax.random.key(1))

        def update(state, x):
            weight, visible, hidden, chains, key = state
            key, of_h, of_v = jax.random.split(key, 3)
            means = jax.nn.sigmoid(x @ weight + hidden)
            h = jax.random.uniform(of_h, (chains.shape[0], hidden.shape[0]))
            h = (h < jax.nn.sigmoid(chains @ weight + hidden)).astype(jnp.float32)
            v = jax.random.uniform(of_v, chains.shape)
            chains = (v < jax.nn.sigmoid(h @ weight.T + visible)).astype(jnp.float32)
            of_chains = jax.nn.sigmoid(chains @ weight + hidden)
            n, m = x.shape[0], chains.shape[0]
            weight = weight + RATE * (x.T @ means / n - chains.T @ of_chains / m)
            visible = visible + RATE * (x.mean(0) - chains.mean(0))
            hidden = hidden + RATE * (means.mean(0) - of_chains.mean(0))
            return weight, visible, hidden, chains, key

        compiled = jax.jit(update, donate_argnums=0)

        def step():
            self.state = compiled(self.state, x)
            jax.block_until_ready(self.state)
            return self.state

        self.step = step

    def loss(self, state):
        return float((state[0] ** 2).mean())


class NumPy:
    def __init__(self, args):
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(args.threads)
        import numpy as np

        self.np, self.version, self.threads, self.commands = np, np.__version__, args.threads, {}
        self.weight, self.visible, self.hidden, _, self.chains = start(args)
        self.base = self.visible.copy()
        self.random = np.random.default_rng(1)
        self.log_weights = np.zeros(args.chains)
        self.t = 0

    def step(self):
        np, random = self.np, self.random
        self.t += 1
        beta = np.float32(self.t / TEMPERATURES % 1)
        after = np.float32(beta + 1e-4)
        inputs = self.chains @ self.weight + self.hidden
        softplus = lambda z: np.logaddexp(np.float32(0), z).sum(1)
        self.log_weights += (after - beta) * (self.chains @ (self.visible - self.base))
        self.log_weights += softplus(after * inputs) - softplus(beta * inputs)
        h = random.random(inputs.shape, np.float32) < 1 / (1 + np.exp(-after * inputs))
        logits = (1 - after) * self.base + after * (h.astype(np.float32) @ self.weight.T + self.visible)
        v = random.random(logits.shape, np.float32) < 1 / (1 + np.exp(-logits))
        self.chains = v.astype(np.float32)
        return self.log_weights

    def loss(self, log_weights):
        return float(log_weights.mean())


def main():
    frameworks = ["torch-eager", "torch-compile", "jax", "numpy"]
    parser = serve.parser("A peer for a restricted Boltzmann machine.", frameworks, batch=100)
    parser.add_argument("--hidden", default=500, type=int)
    parser.add_argument("--chains", default=100, type=int)
    args = parser.parse_args()
    make = {"jax": Jax, "numpy": NumPy}.get(args.framework, Torch)
    serve.serve(args.framework, lambda: make(args), WARM_UP)


if __name__ == "__main__":
    main()
