//! Models that are given by an energy.

use burn::tensor::Tensor;

use crate::{Gradients, Trainable};

/// A distribution that is known up to a factor: `p(x) = exp(-F(x)) / Z`, where Z is the partition function.
///
/// With latents h, F is the free energy: `F(x) = -log Σ_h exp(-E(x, h))`.
pub trait EnergyModel: Trainable {
    /// `F(x)` of each row, in nats: `[n]`. Differentiable by autodiff in the parameters and in x.
    fn free_energy(&self, x: Tensor<2>) -> Tensor<1>;

    /// Adds the gradient of `Σᵢ wᵢ F(xᵢ)` with w = `weights`, `[n]`.
    fn free_energy_gradient(&self, x: Tensor<2>, weights: Tensor<1>, into: &mut Gradients);
}
