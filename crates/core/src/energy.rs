//! Models that are given by an energy.

use burn::tensor::Tensor;

use crate::{Batch, Draws, Gradients, Trainable};

/// A distribution that is known up to a factor: `p(x) = exp(-F(x)) / Z`, where Z is the partition function.
///
/// With latents h, F is the free energy: `F(x) = -log Σ_h exp(-E(x, h))`.
pub trait EnergyModel: Trainable {
    /// The rows of x of a batch: `[n, d]`. If the model has more columns than the values of the data, as for labels or
    /// side inputs, these come last.
    ///
    /// # Panics
    /// If the batch has a mask, or lacks what these columns need.
    fn rows(&self, batch: &Batch) -> Tensor<2> {
        batch.whole()
    }

    /// `F(x)` of each row, in nats: `[n]`. Differentiable by autodiff in the parameters and in x.
    fn free_energy(&self, x: Tensor<2>) -> Tensor<1>;

    /// Adds the gradient of `Σᵢ wᵢ F(xᵢ)` with w = `weights`, `[n]`; also returns `F` of each row, `[n]`.
    fn free_energy_gradient(&self, x: Tensor<2>, weights: Tensor<1>, into: &mut Gradients) -> Tensor<1>;
}

/// An energy model of two layers, in which the units of each are independent given the other.
///
/// Its law at the inverse temperature β is proportional to `exp(-β E(x, h))`.
///
/// # Reference
/// Welling, Rosen-Zvi, Hinton, "Exponential family harmoniums with an application to information retrieval", 2004.
pub trait Harmonium: EnergyModel {
    /// `E[h | x]` of each row: `[n, m]`.
    fn hidden_means(&self, x: Tensor<2>) -> Tensor<2>;

    /// Values of x that do not depend on the parameters, one row for each matrix row of `draws`: a start for chains.
    fn noise(&self, draws: &Draws) -> Tensor<2>;

    /// A sweep of block Gibbs sampling in each row: h given x, then x given h, at the row's inverse temperature. It
    /// leaves the law at that temperature invariant, and is reversible.
    ///
    /// # Shapes
    /// - `x`: `[n, d]` for the n matrix rows of `draws`; `beta`: `[n, 1]`, or not set for 1 in every row
    fn sweep(&self, x: Tensor<2>, beta: Option<Tensor<2>>, draws: &Draws) -> Tensor<2>;

    /// `log Σ_h exp(-β E(x, h))` of each row at each of its inverse temperatures: `[n, k]` for `beta`, `[n, k]`.
    fn log_tempered(&self, x: Tensor<2>, beta: Tensor<2>) -> Tensor<2>;

    /// The gradient of the mean of F over the rows of data, less that over the samples of the model.
    ///
    /// `offsets` gets the means of both layers over the data and over the samples, with h given x, and says which offsets
    /// μ of x and ν of h to take off. With offsets it is the centred gradient, whose statistics of the connections are
    /// `(x - μ)(h - ν)ᵀ`.
    fn contrast(
        &self,
        data: Weighed,
        samples: Weighed,
        offsets: &mut dyn FnMut(LayerMeans, LayerMeans) -> Option<LayerMeans>,
    ) -> Contrast;
}

/// Rows with weights that sum to one.
#[derive(Clone, Debug)]
pub struct Weighed {
    /// `[n, d]`.
    pub x: Tensor<2>,
    /// `[n]`.
    pub weights: Tensor<1>,
}

impl Weighed {
    /// Rows with equal weights.
    pub fn equally(x: Tensor<2>) -> Self {
        let n = x.dims()[0];
        Weighed { weights: Tensor::full([n], 1.0 / n as f64, (&x.device(), x.dtype())), x }
    }
}

/// The contrast of data with samples.
#[derive(Debug)]
pub struct Contrast {
    /// The gradients.
    pub gradients: Gradients,
    /// F of each row of the data, in nats.
    pub at_data: Tensor<1>,
    /// F of each sample.
    pub at_samples: Tensor<1>,
}

/// A mean, or an offset, of each unit of two layers.
#[derive(Clone, Debug)]
pub struct LayerMeans {
    /// Of x: `[d]`.
    pub visible: Tensor<1>,
    /// Of h: `[m]`.
    pub hidden: Tensor<1>,
}

impl LayerMeans {
    /// `(1 - share)` of these and `share` of the others.
    pub fn towards(&self, other: &LayerMeans, share: f64) -> Self {
        let mix = |own: &Tensor<1>, other: &Tensor<1>| own.clone() + (other.clone() - own.clone()) * share;
        LayerMeans { visible: mix(&self.visible, &other.visible), hidden: mix(&self.hidden, &other.hidden) }
    }
}
