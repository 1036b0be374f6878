//! Variational inference for Monte Carlo objectives: the K-sample bound by the score function, with a baseline for each
//! sample.
//!
//! With `h_k ~ q(h | x)`, `l_k = log p(x, h_k) - log q(h_k | x)` and `w̃` the normalised weights, held constant:
//!
//! ```text
//! L      = log 1/K Σ_k exp l_k
//! L_{-k} = the same with l_k replaced by the mean of the others, so that it does not depend on h_k
//! ```
//!
//! - theta ascends `Σ_k w̃_k log p(x, h_k)`;
//! - phi ascends `Σ_k (L - L_{-k} - w̃_k) log q(h_k | x)`.
//!
//! Both are in expectation the gradient of `E L` at every K >= 2. The baselines have nothing to learn or to tune.
//!
//! Gradients are means over the batch.
//!
//! # Reference
//! Mnih, Rezende, "Variational inference for Monte Carlo objectives", ICML 2016, arXiv:1602.06725.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{
    Batch, Claims, Direction, Estimate, Follows, Gradients, Key, LatentVariableModel, Measured, Proposals,
    Strategy,
};
use helmholtz_ops::log_weights::{log_sum_exp, log_sum_of_others, mean_of_others, normalise};

use crate::wake::{TooFewSamples, at_least_two, diagnose, estimate_of_proposals, wake_phi, wake_theta};

/// Ascent of the K-sample bound by the score function.
#[derive(Module, Debug)]
pub struct Vimco {
    /// Samples per observation, K in the paper.
    pub samples: usize,
}

impl Vimco {
    /// With `samples` per observation.
    ///
    /// # Errors
    /// If `samples` is below 2: the baseline of a sample comes from the others.
    pub fn new(samples: usize) -> Result<Self, TooFewSamples> {
        at_least_two("vimco", samples).map(|samples| Vimco { samples })
    }

    /// The update at given proposals.
    pub fn update<M: LatentVariableModel>(
        &self,
        model: &M,
        x: Tensor<2>,
        proposals: &Proposals<M::Latents>,
        into: &mut Gradients,
    ) -> Vec<Measured> {
        let log_weights = proposals.log_weights();
        let w = normalise(log_weights.clone()); // self-normalised over k, a constant
        wake_theta(model, x.clone(), proposals, w.clone(), into);
        wake_phi(model, x, proposals, signals(log_weights.clone()) - w, into);
        diagnose(log_weights)
    }
}

/// `L - L_{-k}`: `[batch, k]`. The factor 1/K cancels.
fn signals(log_weights: Tensor<2>) -> Tensor<2> {
    let [_, k] = log_weights.dims();
    let replaced = mean_of_others(log_weights.clone());
    let others = log_sum_of_others(log_weights.clone());
    // log(exp a + exp b) = max + log(1 + exp(-|a - b|))
    let larger = others.clone().max_pair(replaced.clone());
    let without = larger + (others - replaced).abs().neg().exp().log1p();
    log_sum_exp(log_weights).unsqueeze_dim::<2>(1).repeat_dim(1, k) - without
}

impl<M: LatentVariableModel> Strategy<M> for Vimco {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        let x = batch.whole();
        estimate_of_proposals(model, x.clone(), self.samples, key, |proposals, into| {
            self.update(model, x, proposals, into)
        })
    }
}

impl Claims for Vimco {
    fn follows(&self) -> Follows {
        let bound = Direction::Bound { samples: self.samples };
        Follows::new(bound, bound)
    }
}
