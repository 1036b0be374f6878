"""An epoch of a restricted Boltzmann machine: the peer of the benchmark `rbm/epoch`.

    python rbm_epoch.py --framework sklearn --inputs F --result F \
        --visible 784 --hidden 500 --batch 100 --threads 2

Served as serve.py says. A step is BernoulliRBM.fit with n_iter=1: initial weights, and one
pass over all rows with persistent chains that make one sweep at each update (scikit-learn
has as many chains as a batch has rows), at a learning rate of 0.05. In single precision,
which fit keeps for rows of float32; the random numbers that scikit-learn draws are double.

--inputs holds the rows, [n, visible] little-endian float32. `result` fits a machine and
writes to --result, as float32: its connections [hidden, visible], the visible and the
hidden biases, and its own free energies of the first rows.
"""

import os

import serve

RATE = 0.05
SCORED = 1000


class Sklearn:
    def __init__(self, args):
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(args.threads)
        import numpy as np
        import sklearn
        from sklearn.neural_network import BernoulliRBM

        self.np, self.version, self.threads = np, sklearn.__version__, args.threads
        self.x = np.fromfile(args.inputs, np.float32).reshape(-1, args.visible)
        self.path, self.commands = args.result, {"result": self.result}
        self.seed = 0

        def machine():
            self.seed += 1
            return BernoulliRBM(
                args.hidden, learning_rate=RATE, batch_size=args.batch, n_iter=1, random_state=self.seed
            )

        self.machine = machine

    def step(self):
        return self.machine().fit(self.x)

    def loss(self, machine):
        return float((machine.components_**2).mean())

    def result(self):
        machine = self.step()
        parts = [machine.components_, machine.intercept_visible_, machine.intercept_hidden_]
        if any(part.dtype != self.np.float32 for part in parts):
            raise TypeError("the weights are not in single precision")
        parts.append(machine._free_energy(self.x[:SCORED]))
        flat = [self.np.ascontiguousarray(part, self.np.float32).ravel() for part in parts]
        self.np.concatenate(flat).tofile(self.path)
        return {"written": True}


def main():
    parser = serve.parser("A peer for an epoch of a restricted Boltzmann machine.", ["sklearn"], batch=100)
    parser.add_argument("--hidden", default=500, type=int)
    parser.add_argument("--inputs", required=True)
    parser.add_argument("--result", required=True)
    args = parser.parse_args()
    # No warm-up steps: `result`, which is asked for before any step is timed, is one.
    serve.serve(args.framework, lambda: Sklearn(args), warm_up=0)


if __name__ == "__main__":
    main()
