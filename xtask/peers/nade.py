"""The log-probability of a NADE with its gradient in all four parameters, in PyTorch:
the peers of the NADE benchmark.

    python nade.py --framework torch-loop|torch-cumsum|torch-cumsum-compile \
        --inputs FILE --result FILE --visible 784 --hidden 150 --batch 125 --threads 2

The inputs hold the bias b [D], the hidden bias c [H], the encoder W [D, H], the decoder
V [D, H] and the rows x [N, D], in this order, as little-endian float32. Served as
serve.py says, with one command of its own:

    result   writes the log-probabilities [N] and the gradients of the loss in b, c, W and V
             to the file named for it, in this order and form; {"written": how many numbers}

The step: the loss is minus the mean over rows of log p(x) = sum_i log p(x_i | x_<i), with

    h_i = sigmoid(c + sum_{j < i} x_j W_j)     logit of x_i: b_i + h_i . V_i

forwards and, by autograd, backwards. Two formulations, for torch has no operation for it:

- torch-loop goes over the units, some kernels for each. It is not compiled, since what
  would be compiled is the loop written out, thousands of operations.
- torch-cumsum has all sums over j < i at once, as an [N, D, H] tensor.
"""

import serve
from rws_step import torch_softplus, torch_softplus_function

WARM_UP = 5


def sizes(visible, hidden, batch):
    """The shapes of the inputs."""
    return [(visible,), (hidden,), (visible, hidden), (visible, hidden), (batch, visible)]


def read_inputs(path, shapes):
    """A float32 array for each shape."""
    import numpy as np

    flat = np.fromfile(path, "<f4")
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    if flat.size != ends[-1]:
        raise ValueError(f"{path} holds {flat.size} numbers, not {ends[-1]}")
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes)]


def loop_logits(params, x):
    """Unit by unit. `unbind` takes the rows apart at once, so that backward writes each
    into its place; an index for each unit would add whole matrices of zeros."""
    import torch

    b, c, encoder, decoder = params
    a = c.expand(x.shape[0], -1)
    logits = []
    for x_i, w_i, v_i in zip(x.t().contiguous().unbind(0), encoder.unbind(0), decoder.unbind(0)):
        logits.append(torch.mv(torch.sigmoid(a), v_i))
        a = torch.addr(a, x_i, w_i)
    return torch.stack(logits, 1) + b


def cumsum_logits(params, x):
    """All units at once: c and then x_i W_i of all units but the last, summed up."""
    import torch

    b, c, encoder, decoder = params
    terms = torch.cat([c.expand(x.shape[0], 1, -1), x[:, :-1, None] * encoder[:-1]], 1)
    return torch.einsum("ndh,dh->nd", torch.sigmoid(terms.cumsum(1)), decoder) + b


class Torch:
    def __init__(self, args):
        import torch

        self.torch, self.version = torch, torch.__version__
        torch.set_num_threads(args.threads)
        self.threads = torch.get_num_threads()
        self.commands = {"result": lambda: self.write_result(args.result)}
        *params, x = map(
            torch.from_numpy, read_inputs(args.inputs, sizes(args.visible, args.hidden, args.batch))
        )
        self.params = [p.requires_grad_() for p in params]
        logits_of = loop_logits if args.framework == "torch-loop" else cumsum_logits

        def log_prob():
            logits = logits_of(self.params, x)
            return (x * logits - softplus(logits)).sum(1)

        softplus = torch_softplus_function()
        if args.framework == "torch-cumsum-compile":
            import torch._inductor.config as inductor

            inductor.compile_threads = 1  # no pool of worker processes left behind
            softplus = torch_softplus
            log_prob = torch.compile(log_prob, fullgraph=True, dynamic=False)
        self.log_prob = log_prob

    def step(self):
        for p in self.params:
            p.grad = None
        log_prob = self.log_prob()
        log_prob.mean().neg().backward()
        return log_prob.detach()

    def loss(self, log_prob):
        return -log_prob.mean().item()

    def write_result(self, path):
        parts = [self.step(), *(p.grad for p in self.params)]
        flat = self.torch.cat([part.flatten() for part in parts]).numpy().astype("<f4")
        flat.tofile(path)
        return {"written": flat.size}


def main():
    frameworks = ["torch-loop", "torch-cumsum", "torch-cumsum-compile"]
    parser = serve.parser("A peer for NADE's log-probability and gradient.", frameworks, batch=125)
    parser.add_argument("--hidden", default=150, type=int)
    parser.add_argument("--inputs", required=True, metavar="FILE")
    parser.add_argument("--result", required=True, metavar="FILE")
    args = parser.parse_args()
    serve.serve(args.framework, lambda: Torch(args), WARM_UP)


if __name__ == "__main__":
    main()
