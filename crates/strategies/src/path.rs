//! What the strategies that follow the path from the noise share.

use burn::tensor::Tensor;
use helmholtz_core::{Draws, Key, Proposals, Reparameterized, Role};
use helmholtz_ops::noise;

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
