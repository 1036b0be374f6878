//! Paths of densities for annealing.

use burn::tensor::Tensor;

use crate::Draws;

/// A path of densities f_b, known up to a factor, from one that is easy to sample (b = 0) to another (b = 1).
///
/// b is called the inverse temperature. Each density has moves that leave it invariant.
pub trait AnnealingPath {
    /// The states of chains that run side by side.
    type State;

    /// `log Z_0`, the logarithm of the sum or integral of f_0, in nats.
    fn log_base(&self) -> f64;

    /// Independent samples of f_0, one for each matrix row of `draws`.
    fn begin(&self, draws: &Draws) -> Self::State;

    /// `log f_to - log f_from` at each state, in nats: `[n]`.
    fn log_ratio(&self, state: &Self::State, from: f64, to: f64) -> Tensor<1>;

    /// A move of every chain that leaves f_b invariant, with b = `at`.
    fn step(&self, state: Self::State, at: f64, draws: &Draws) -> Self::State;
}

/// A path whose moves are reversible: `f_b(x) T_b(x, y) = f_b(y) T_b(y, x)`.
pub trait ReversiblePath: AnnealingPath {
    /// Chains at given states: `[n, d]`.
    fn at(&self, x: Tensor<2>) -> Self::State;

    /// `log f_1` at each state, in nats: `[n]`.
    fn log_end(&self, state: &Self::State) -> Tensor<1>;
}
