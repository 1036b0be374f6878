//! Paths of densities for annealing.

use burn::tensor::Tensor;

use crate::{Draws, Kernel};

/// A kernel whose densities f_b form a path from one that is easy to sample (b = 0) to another (b = 1), with b the inverse
/// temperature.
pub trait AnnealingPath: Kernel {
    /// `log Z_0`, the logarithm of the sum or integral of f_0, in nats.
    fn log_base(&self) -> f64;

    /// Independent samples of f_0, one for each matrix row of `draws`.
    fn begin(&self, draws: &Draws) -> Self::State;
}

/// A path whose moves are reversible: `f_b(x) T_b(x, y) = f_b(y) T_b(y, x)`.
pub trait ReversiblePath: AnnealingPath {
    /// `log f_1` at each state, in nats: `[n]`.
    fn log_end(&self, state: &Self::State) -> Tensor<1>;
}
