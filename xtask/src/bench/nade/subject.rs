//! The NADE that is timed, and its data.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use helmholtz_core::{Draws, Gradients, Key, Prior, Scored};
use helmholtz_layers::{InitialWeights, NadePrior, NadePriorConfig, UnitOrder};

use crate::bench::options::Options;
use crate::bench::stack::{OBSERVED, bits};

/// Rows of a batch, unless the command line says otherwise.
const BATCH: usize = 125;

/// Rows of a batch.
pub(crate) fn rows(options: &Options) -> usize {
    options.batch.unwrap_or(BATCH)
}

/// A NADE with rows to score.
pub(crate) struct Subject {
    pub(crate) prior: NadePrior,
    /// `[n, OBSERVED]`.
    pub(crate) x: Tensor<2>,
}

impl Subject {
    /// Random weights, and `n` rows; a share of about `ones` is on, also in samples from the NADE.
    pub(crate) fn new(hidden: usize, n: usize, ones: f32, device: &Device) -> Self {
        let (weights, key) = (InitialWeights::Glorot, Key::new(0).child("bench nade"));
        let config = NadePriorConfig::new(OBSERVED).with_hidden(Some(hidden));
        let mut prior = config.init(weights, UnitOrder::index(), key, device);
        let bias = |d: usize, name| weights.draw(1, d, key.child(name), device).squeeze_dim::<1>(0);
        prior.bias = Param::from_tensor(bias(OBSERVED, "b") + (ones / (1.0 - ones)).ln());
        prior.hidden_bias = Param::from_tensor(bias(hidden, "c"));
        let x = Tensor::from_data(TensorData::new(bits(n, ones), [n, OBSERVED]), device);
        Subject { prior, x }
    }

    pub(crate) fn hidden(&self) -> usize {
        self.prior.hidden_bias.val().dims()[0]
    }

    /// Log-probability and gradient of the loss, its negative mean over the rows.
    pub(crate) fn gradient(&self) -> (Scored, Gradients) {
        let n = self.x.dims()[0];
        let scored = self.prior.score(self.x.clone());
        let weights = Tensor::full([n], 1.0 / n as f64, &self.x.device());
        let mut gradients = Gradients::new();
        self.prior.gradient(self.x.clone(), scored.trace.clone(), weights, &mut gradients);
        (scored, gradients)
    }

    /// Draws as many rows as `x` has; every `step` draws other rows.
    pub(crate) fn sample(&self, step: u64) -> Tensor<2> {
        self.prior.draw(&Draws::new(Key::new(1).child(step), self.x.dims()[0], 1))
    }

    /// The share of units that are on in samples.
    pub(crate) fn ones_of_samples(&self) -> f64 {
        f64::from(self.sample(0).mean().into_scalar::<f32>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_samples_have_the_density_they_are_asked_for() {
        for ones in [0.5f32, 0.13] {
            let subject = Subject::new(20, 200, ones, &Device::flex());
            let of_rows = f64::from(subject.x.clone().mean().into_scalar::<f32>());
            assert!((of_rows - f64::from(ones)).abs() < 0.01, "{of_rows} of the bits are on, not {ones}");
            let of_samples = subject.ones_of_samples();
            assert!((of_samples - f64::from(ones)).abs() < 0.05, "{of_samples} of the samples, not {ones}");
        }
    }
}
