//! Maximum likelihood, where the likelihood has a closed form.
//!
//! Theta ascends the mean over the batch of `log p(x)` of the observed values, or of `log p(x, y)` where the rows have
//! targets that the model predicts. No samples are drawn.
//!
//! # Reference
//! Fisher, "On the mathematical foundations of theoretical statistics", Philosophical Transactions A 222, 1922.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{Batch, Better, Estimate, Gradients, Key, Measure, Over, Strategy, Tractable};

/// The mean over the batch of `log p`, before the step.
pub const LOG_LIKELIHOOD: Measure =
    Measure { name: "log_likelihood", unit: Some("nats"), better: Some(Better::Higher), over: Over::Mean };

/// Ascent of `log p` itself.
#[derive(Module, Debug, Default)]
pub struct MaximumLikelihood {}

impl<M: Tractable> Strategy<M> for MaximumLikelihood {
    fn estimate(&self, model: &M, batch: &Batch, _: Key) -> Estimate {
        let n = batch.len();
        let mut gradients = Gradients::new();
        let weights = Tensor::full([n], 1.0 / n as f64, (&model.device(), model.dtype()));
        let log_prob = model.likelihood_gradient(batch, weights, &mut gradients);
        // A row is scored once, by p.
        Estimate { gradients, measured: vec![LOG_LIKELIHOOD.is(log_prob.mean())], evaluations: n as u64 }
    }

    fn measures(&self) -> &[Measure] {
        &[LOG_LIKELIHOOD]
    }
}
