//! Likelihoods of observed units, given the outputs of the net for each unit.
//!
//! | distribution | outputs of a unit | data |
//! | --- | --- | --- |
//! | [`Likelihood::Bernoulli`] | a logit | bits, or means in [0, 1] |
//! | [`Likelihood::Logistics`] | for each component a logit, a mean and a log scale | grey values `0/255 .. 255/255` |
//! | [`Likelihood::Gaussian`] | a mean | real numbers, with one known variance |

use burn::tensor::{Device, Tensor};
use helmholtz_core::{Draws, Role, Scored};
use helmholtz_ops::{bernoulli, noise, sigmoid};

use crate::logistics;

/// `p(xⱼ | outputs)`, independent over the units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Likelihood {
    /// `Bernoulli(xⱼ; σ(oⱼ))`
    Bernoulli,
    /// A mixture of logistic distributions over the 256 grey values: [`logistics`].
    Logistics {
        /// Number of components of the mixture.
        components: usize,
    },
    /// `N(xⱼ; oⱼ, v)`
    Gaussian {
        /// v.
        variance: f64,
    },
}

impl Likelihood {
    /// Number of outputs of the net for each observed unit.
    pub fn outputs(self) -> usize {
        match self {
            Likelihood::Bernoulli | Likelihood::Gaussian { .. } => 1,
            Likelihood::Logistics { components } => 3 * components,
        }
    }

    /// `log p(x | product + bias)`, differentiable by autodiff in both.
    ///
    /// # Shapes
    /// - `x`: `[n, d]`, or `[n / k, d]` where each row serves k rows of the product
    /// - `product`: `[n, outputs * d]`, where all units of one output are adjacent; `bias`: `[outputs * d]`
    /// - output `[n]`, in nats
    pub(crate) fn log_prob(self, x: Tensor<2>, product: Tensor<2>, bias: Tensor<1>) -> Tensor<1> {
        match self {
            Likelihood::Bernoulli => bernoulli::log_prob(x, product + bias.unsqueeze()),
            Likelihood::Logistics { components } => {
                logistics::log_prob(repeated(x, &product), product + bias.unsqueeze(), components)
            }
            Likelihood::Gaussian { variance } => {
                let error = repeated(x, &product) - product - bias.unsqueeze();
                gaussian_log_prob(error, variance)
            }
        }
    }

    /// [`log_prob`](Self::log_prob) with its derivative in the outputs as trace; constants.
    pub(crate) fn score(self, x: Tensor<2>, product: Tensor<2>, bias: Tensor<1>) -> Scored {
        match self {
            Likelihood::Bernoulli => bernoulli::score(x, product, bias),
            Likelihood::Logistics { components } => {
                logistics::score(repeated(x, &product), product + bias.unsqueeze(), components)
            }
            Likelihood::Gaussian { variance } => {
                let error = repeated(x, &product) - product - bias.unsqueeze();
                Scored { log_prob: gaussian_log_prob(error.clone(), variance), trace: error / variance }
            }
        }
    }

    /// `E[x | outputs]`: `[n, d]`.
    pub(crate) fn mean(self, outputs: Tensor<2>) -> Tensor<2> {
        match self {
            Likelihood::Bernoulli => sigmoid(outputs),
            Likelihood::Logistics { components } => logistics::mean(outputs, components),
            Likelihood::Gaussian { .. } => outputs,
        }
    }

    /// `x ~ p(x | product + bias)`, one for each matrix row of `draws`.
    pub(crate) fn draw(self, product: Tensor<2>, bias: Tensor<1>, draws: &Draws) -> Tensor<2> {
        let (device, dtype): (Device, _) = (product.device(), product.dtype());
        match self {
            Likelihood::Bernoulli => bernoulli::draw(product, bias, draws, None).x,
            Likelihood::Logistics { components } => {
                let [_, width] = product.dims();
                let d = width / self.outputs();
                let uniform = |role: Role| noise::uniform(&draws.child(role), d, dtype, &device);
                let (choice, u) = (uniform(Role::Choice), uniform(Role::Sample));
                logistics::draw(product + bias.unsqueeze(), components, choice, u)
            }
            Likelihood::Gaussian { variance } => {
                let [_, d] = product.dims();
                let e = noise::normal(draws, d, dtype, &device);
                product + bias.unsqueeze() + e * variance.sqrt()
            }
        }
    }
}

/// The rows of `x`, each repeated for the rows of `product` that it serves.
fn repeated(x: Tensor<2>, product: &Tensor<2>) -> Tensor<2> {
    let ([n_x, _], [n, _]) = (x.dims(), product.dims());
    helmholtz_ops::rows::repeat_rows(x, n / n_x)
}

fn gaussian_log_prob(error: Tensor<2>, variance: f64) -> Tensor<1> {
    let [_, d] = error.dims();
    let constant = 0.5 * d as f64 * (2.0 * std::f64::consts::PI * variance).ln();
    error.square().sum_dim(1).squeeze_dim::<1>(1) * (-0.5 / variance) - constant
}
