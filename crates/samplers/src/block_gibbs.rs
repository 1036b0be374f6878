//! Block Gibbs sampling of energy models of two layers.
//!
//! A step draws h given x and then x given h, each layer at once. At the inverse temperature β it leaves
//!
//! ```text
//! f_β(x) = Σ_h exp(-β E(x, h))
//! ```
//!
//! invariant, and is reversible. Nothing is rejected, so there is nothing to report.
//!
//! # Reference
//! Welling, Rosen-Zvi, Hinton, "Exponential family harmoniums with an application to information retrieval", 2004.

use burn::tensor::{Int, Tensor};
use helmholtz_core::{Draws, Harmonium, InverseTemperature, Kernel};

/// Block Gibbs sampling of a model.
#[derive(Clone, Copy, Debug)]
pub struct BlockGibbs<'a, M> {
    /// The model.
    pub model: &'a M,
}

/// The state of a chain is x, and what is known of the density there is nothing: a ratio of densities is a product of
/// matrices, as a step is.
impl<M: Harmonium> Kernel for BlockGibbs<'_, M> {
    type State = Tensor<2>;
    type Info = ();

    fn at(&self, x: Tensor<2>) -> Tensor<2> {
        x
    }

    fn positions(&self, x: &Tensor<2>) -> Tensor<2> {
        x.clone()
    }

    fn step(&self, x: Tensor<2>, beta: &InverseTemperature, draws: &Draws) -> (Tensor<2>, ()) {
        let beta = match beta {
            InverseTemperature::Same(1.0) => None,
            InverseTemperature::Same(beta) => {
                Some(Tensor::full([x.dims()[0], 1], *beta, (&x.device(), x.dtype())))
            }
            InverseTemperature::Each(beta) => Some(beta.clone().unsqueeze_dim(1)),
        };
        (self.model.sweep(x, beta, draws), ())
    }

    fn log_densities(&self, x: &Tensor<2>, beta: Tensor<2>) -> Tensor<2> {
        self.model.log_tempered(x.clone(), beta)
    }

    fn log_ratio(&self, x: &Tensor<2>, from: f64, to: f64) -> Tensor<1> {
        let both = Tensor::<1>::from_data([from, to], (&x.device(), x.dtype())).unsqueeze::<2>();
        let log_f = self.model.log_tempered(x.clone(), both.repeat_dim(0, x.dims()[0]));
        (log_f.clone().narrow(1, 1, 1) - log_f.narrow(1, 0, 1)).squeeze_dim::<1>(1)
    }

    fn select(&self, x: Tensor<2>, from: Tensor<1, Int>) -> Tensor<2> {
        x.select(0, from)
    }
}
