//! What the strategies that follow the path from the noise share.

use burn::tensor::Tensor;
use helmholtz_core::{Diagnostics, Draws, Estimate, Gradients, Key, Proposals, Reparameterized, Role};
use helmholtz_ops::noise;

use crate::wake::scored;

/// Noise for `k` samples of each row of `x`, and the latents that it stands for.
pub(crate) fn propose_on_path<M: Reparameterized>(
    model: &M,
    x: Tensor<2>,
    k: usize,
    key: Key,
) -> (Tensor<2>, Proposals<M::Latents>) {
    let [batch, _] = x.dims();
    let draws = Draws::new(key.child(Role::Wake), batch, k);
    let noise = noise::normal(&draws, model.noise_units(), model.dtype(), &model.device());
    let proposals = model.propose_at(x, noise.clone());
    (noise, proposals)
}

/// The estimate that `update` makes at noise for `k` samples of each row of `x`.
pub(crate) fn estimate_on_path<M: Reparameterized>(
    model: &M,
    x: Tensor<2>,
    k: usize,
    key: Key,
    update: impl FnOnce(Tensor<2>, Proposals<M::Latents>, &mut Gradients) -> Diagnostics,
) -> Estimate {
    let mut gradients = Gradients::new();
    let (noise, proposals) = propose_on_path(model, x.clone(), k, key);
    let diagnostics = update(noise, proposals, &mut gradients);
    let [batch, _] = x.dims();
    Estimate { gradients, diagnostics, evaluations: scored(batch * k) }
}
