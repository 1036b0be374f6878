//! Reweighted wake-sleep.
//!
//! With `h_k ~ q(h | x)`, `w_k ∝ p(x, h_k) / q(h_k | x)` normalised over k and held constant:
//!
//! - wake theta ascends `Σ_k w_k log p(x, h_k)`: exactly the gradient of the K-sample bound
//!   `E log 1/K Σ_k p(x, h_k) / q(h_k | x)` at every K;
//! - wake phi ascends `Σ_k w_k log q(h_k | x)`: a self-normalised estimate of the gradient of
//!   `E_{p(h | x)} log q(h | x)` on the data, with a bias of order 1/K;
//! - sleep phi ascends `log q(h | x)` on dreams `x, h ~ p`, unbiased, on the model's own `x`.
//!
//! There are two options. The control variate `w_k - 1/K` in wake phi adds no bias because `E_q ∇ log q = 0`.
//! The defensive mixture of Le et al. proposes from `(1 - d) q + d uniform`, computes weights by the mixture's
//! density and still ascends `log q`. The two do not go together: under the mixture the mean of `∇ log q` is
//! not zero.
//!
//! Gradients are means over the batch; the authors' code sums.
//!
//! # References
//! Bornschein, Bengio, "Reweighted wake-sleep", ICLR 2015, arXiv:1406.2751.
//! Le, Kosiorek, Siddharth, Teh, Wood, "Revisiting reweighted wake-sleep", UAI 2019, arXiv:1805.10469.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{
    Batch, Claims, Direction, Estimate, Follows, Gradients, Key, LatentVariableModel, Measured, Proposals,
    SampleWeights, Strategy, Term,
};
use helmholtz_ops::log_weights::normalise;
use thiserror::Error;

use crate::wake::{diagnose, propose, scored, sleep_phi, sleep_phi_at, wake_phi, wake_theta};

/// Reweighted wake-sleep.
#[derive(Module, Debug)]
pub struct ReweightedWakeSleep {
    /// Proposals per observation, K in the paper.
    pub samples: usize,
    /// Weight of the wake update of phi.
    pub wake_phi: f64,
    /// Weight of the sleep update of phi, with as many dreams as rows in the batch.
    pub sleep_phi: f64,
    /// Whether wake phi uses `w - 1/K`.
    pub control_variate: bool,
    /// Share `d` of the uniform distribution in the proposals; 0.2 in Le et al., 0 without the mixture.
    pub defence: f64,
}

/// Invalid settings.
#[derive(Debug, Error, PartialEq)]
pub enum RwsError {
    /// K = 0.
    #[error("samples = 0: reweighted wake-sleep needs at least one proposal per observation (K >= 1)")]
    NoSamples,
    /// A mixture share outside [0, 1).
    #[error("defence = {0}: the uniform share of the proposals must lie in [0, 1)")]
    Defence(f64),
    /// A control variate without wake phi, or with one sample, where it cancels the whole update.
    #[error(
        "control_variate needs a wake update of phi with samples >= 2: the weight of a single sample is 1, \
         so w - 1/K is zero"
    )]
    IdleControlVariate,
    /// Control variate together with the mixture.
    #[error(
        "control_variate and defence = {0} do not go together: under the mixture the mean of the score of q \
         is not zero, so w - 1/K would be biased; switch one of them off"
    )]
    BiasedControlVariate(f64),
}

impl ReweightedWakeSleep {
    /// Wake phi only, without options: the setting of most papers since.
    ///
    /// # Errors
    /// If `samples` is zero.
    pub fn new(samples: usize) -> Result<Self, RwsError> {
        ReweightedWakeSleep { samples, wake_phi: 1.0, sleep_phi: 0.0, control_variate: false, defence: 0.0 }
            .checked()
    }

    /// Returns the same settings if they are valid.
    ///
    /// # Errors
    /// If K is zero, the mixture share lies outside [0, 1), or the control variate is biased or cancels the update.
    pub fn checked(self) -> Result<Self, RwsError> {
        if self.samples == 0 {
            return Err(RwsError::NoSamples);
        }
        if !(0.0..1.0).contains(&self.defence) {
            return Err(RwsError::Defence(self.defence));
        }
        if self.control_variate && self.defence > 0.0 {
            return Err(RwsError::BiasedControlVariate(self.defence));
        }
        if self.control_variate && (self.samples < 2 || self.wake_phi == 0.0) {
            return Err(RwsError::IdleControlVariate);
        }
        Ok(self)
    }

    /// The wake phase, theta and phi, at given proposals.
    pub fn wake<M: LatentVariableModel>(
        &self,
        model: &M,
        x: Tensor<2>,
        proposals: &Proposals<M::Latents>,
        into: &mut Gradients,
    ) -> Vec<Measured> {
        let log_weights = proposals.log_weights();
        let w = normalise(log_weights.clone()); // self-normalised over k, a constant
        wake_theta(model, x.clone(), proposals, w.clone(), into);
        if self.wake_phi > 0.0 {
            let w = if self.control_variate { w - 1.0 / proposals.k as f64 } else { w };
            wake_phi(model, x, proposals, w * self.wake_phi, into);
        }
        diagnose(log_weights)
    }

    /// The sleep phase at given dreams.
    pub fn sleep_at<M: LatentVariableModel>(
        &self,
        model: &M,
        x: Tensor<2>,
        h: &M::Latents,
        into: &mut Gradients,
    ) {
        sleep_phi_at(model, x, h, self.sleep_phi, into);
    }

    /// The sleep phase with `batch` dreams.
    pub fn sleep<M: LatentVariableModel>(&self, model: &M, batch: usize, key: Key, into: &mut Gradients) {
        if self.sleep_phi > 0.0 {
            sleep_phi(model, batch, self.sleep_phi, key, into);
        }
    }
}

impl<M: LatentVariableModel> Strategy<M> for ReweightedWakeSleep {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        let (x, batch) = (batch.whole(), batch.len());
        let mut gradients = Gradients::new();
        let proposals = propose(model, x.clone(), self.samples, self.defence, key);
        let measured = self.wake(model, x, &proposals, &mut gradients);
        self.sleep(model, batch, key, &mut gradients);
        let dreams = if self.sleep_phi > 0.0 { batch as u64 } else { 0 };
        Estimate { gradients, measured, evaluations: scored(batch * self.samples) + dreams }
    }
}

impl Claims for ReweightedWakeSleep {
    fn follows(&self) -> Follows {
        let wake = Direction::SelfNormalised(SampleWeights {
            defence: self.defence,
            ..SampleWeights::of(self.samples)
        });
        let terms = [(self.wake_phi, wake), (self.sleep_phi, Direction::Dreams)];
        let terms = terms.into_iter().filter(|(share, _)| *share > 0.0);
        let limit =
            (self.wake_phi == 1.0 && self.sleep_phi == 0.0).then_some(Direction::Posterior { power: 1.0 });
        Follows {
            phi: terms.map(|(share, direction)| Term { share, direction }).collect(),
            limit_phi: limit,
            ..Follows::new(wake, wake)
        }
    }
}
