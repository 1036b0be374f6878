"""The operations of PyTorch and of JAX under one set of names, so that a formula is written
once for both."""

import types

from rws_step import jax_softplus


def torch_operations(softplus):
    import torch

    return types.SimpleNamespace(
        linear=lambda x, w, b: torch.addmm(b, x, w),
        relu=torch.relu,
        softplus=softplus,
        log=torch.log,
        logsumexp=lambda x: torch.logsumexp(x, -1),
        softmax=lambda x: torch.softmax(x, -1),
        stop=lambda x: x.detach(),
        arange=torch.arange,
        where=torch.where,
        minimum=torch.minimum,
        stack=torch.stack,
        einsum=torch.einsum,
        take=torch.take_along_dim,
    )


def jax_operations():
    import jax
    import jax.numpy as jnp

    return types.SimpleNamespace(
        linear=lambda x, w, b: x @ w + b,
        relu=jax.nn.relu,
        softplus=jax_softplus,
        log=jnp.log,
        logsumexp=lambda x: jax.nn.logsumexp(x, -1),
        softmax=lambda x: jax.nn.softmax(x, -1),
        stop=jax.lax.stop_gradient,
        arange=jnp.arange,
        where=jnp.where,
        minimum=jnp.minimum,
        stack=jnp.stack,
        einsum=jnp.einsum,
        take=jnp.take_along_axis,
    )
