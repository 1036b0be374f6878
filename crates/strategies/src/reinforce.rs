//! The evidence lower bound by the score function, each sample's signal less the mean of the others'.
//!
//! With `h_k ~ q(h | x)` and `l_k = log p(x, h_k) - log q(h_k | x)`:
//!
//! - theta ascends `1/K Σ_k log p(x, h_k)`;
//! - phi ascends `1/K Σ_k (l_k - 1/(K-1) Σ_{j≠k} l_j) log q(h_k | x)`: the baseline of a sample depends on the others
//!   alone, so it adds no bias.
//!
//! Both are in expectation the gradient of the ELBO at every K >= 2.
//!
//! Gradients are means over the batch.
//!
//! # References
//! Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", Machine
//! Learning 8, 1992.
//! Kool, van Hoof, Welling, "Buy 4 REINFORCE samples, get a baseline for free!", ICLR workshop 2019.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{
    Batch, Claims, Direction, Estimate, Follows, Gradients, Key, LatentVariableModel, Measured, Proposals,
    Strategy,
};
use helmholtz_ops::log_weights::mean_of_others;

use crate::wake::{TooFewSamples, at_least_two, diagnose_mean, estimate_of_proposals, wake_phi, wake_theta};

/// The score-function estimator with the leave-one-out baseline.
#[derive(Module, Debug)]
pub struct Reinforce {
    /// Samples per observation, K.
    pub samples: usize,
}

impl Reinforce {
    /// With `samples` per observation.
    ///
    /// # Errors
    /// If `samples` is below 2: the baseline of a sample comes from the others.
    pub fn new(samples: usize) -> Result<Self, TooFewSamples> {
        at_least_two("reinforce", samples).map(|samples| Reinforce { samples })
    }

    /// The update at given proposals.
    pub fn update<M: LatentVariableModel>(
        &self,
        model: &M,
        x: Tensor<2>,
        proposals: &Proposals<M::Latents>,
        into: &mut Gradients,
    ) -> Vec<Measured> {
        let signals = proposals.log_weights();
        let share = 1.0 / proposals.k as f64;
        wake_theta(model, x.clone(), proposals, signals.full_like(share), into);
        let centred = signals.clone() - mean_of_others(signals.clone());
        wake_phi(model, x, proposals, centred * share, into);
        diagnose_mean(signals)
    }
}

impl<M: LatentVariableModel> Strategy<M> for Reinforce {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        let x = batch.whole();
        estimate_of_proposals(model, x.clone(), self.samples, key, |proposals, into| {
            self.update(model, x, proposals, into)
        })
    }
}

impl Claims for Reinforce {
    fn follows(&self) -> Follows {
        Follows::new(Direction::Elbo, Direction::Elbo)
    }
}
