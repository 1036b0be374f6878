//! Expectation maximisation, over all rows or batch by batch.
//!
//! Let ŝ be the mean over a batch of the expected sufficient statistics of the complete data. Step t = 0, 1, ... is
//!
//! ```text
//! s ← s + γ_t (ŝ - s),    γ_t = (1 + t)^-κ,    θ ← argmax_θ E log p(x, h; θ) where the mean of the statistics is s
//! ```
//!
//! For κ in (1/2, 1] this is stepwise EM, which converges as EM does. With κ = 0 nothing is remembered; with all rows
//! in a batch it is then EM itself, whose steps never lower the (penalised) likelihood.
//!
//! The update is passed on as θ less the maximum. An optimiser that takes a step of size one against it reaches the
//! maximum, and one with a smaller rate goes a part of the way.
//!
//! # References
//! Dempster, Laird, Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977.
//! Cappé, Moulines, "On-line expectation-maximization algorithm for latent data models", JRSS B 71, 2009.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{Batch, Estimate, Expectation, Gradients, Key, Measure, Memory, Scope, Strategy};

use crate::maximum_likelihood::LOG_LIKELIHOOD;

/// Steps to the maximum given statistics that are averaged over batches.
#[derive(Module, Debug)]
pub struct ExpectationMaximisation {
    /// κ, the exponent of the step size, in [0, 1]: 0 takes each batch alone; the larger κ, the longer a batch counts.
    pub step_exponent: f64,
    /// s: `[statistics]`.
    statistics: Memory<Tensor<1>>,
}

impl ExpectationMaximisation {
    /// With an exponent κ, for models such as `model`.
    pub fn new<M: Expectation>(model: &M, step_exponent: f64) -> Self {
        let row = Tensor::zeros([1, model.observed()], (&model.device(), model.dtype()));
        let (statistics, _) = model.expected_statistics(&Batch::of(row));
        ExpectationMaximisation { step_exponent, statistics: Memory::new(statistics.zeros_like()) }
    }

    /// γ_t at a step.
    fn rate(&self, step: u64) -> f64 {
        (1.0 + step as f64).powf(-self.step_exponent)
    }
}

impl<M: Expectation> Strategy<M> for ExpectationMaximisation {
    fn estimate(&self, model: &M, batch: &Batch, _: Key) -> Estimate {
        let (found, log_prob) = model.expected_statistics(batch);
        let old = self.statistics.get();
        let statistics = old.clone() + (found - old) * self.rate(batch.step);
        self.statistics.set(statistics.clone());
        let mut gradients = Gradients::new();
        model.beyond_maximum(statistics, &mut gradients);
        let measured = vec![LOG_LIKELIHOOD.is(log_prob.mean())];
        Estimate { gradients, measured, evaluations: batch.len() as u64 }
    }

    fn measures(&self) -> &[Measure] {
        &[LOG_LIKELIHOOD]
    }

    fn scope(&self) -> Scope {
        Scope::AcrossBatches
    }

    fn continuing(&self, other: &Self) -> Self {
        ExpectationMaximisation { step_exponent: self.step_exponent, ..other.clone() }
    }
}
