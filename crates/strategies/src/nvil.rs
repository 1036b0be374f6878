//! Neural variational inference and learning: the evidence lower bound by the score function, with learned baselines.
//!
//! Let `h ~ q(h | x)`, with layers numbered upwards from the data, `h_0 = x`. The part of the signal that depends on
//! recognition layer i is
//!
//! ```text
//! l_i = log p(h_{i-1}, .., h_n) - log q(h_i, .., h_n | h_{i-1})
//! ```
//!
//! - theta ascends `log p(x, h)`;
//! - phi ascends `Σ_i (l_i - C_i(h_{i-1}) - c_i) / max(1, s) log q(h_i | h_{i-1})`;
//! - the baseline `C_i`, a net with one hidden layer, descends `1/2 (l_i - C_i(h_{i-1}) - c_i)²`.
//!
//! `c_i` is the running mean of `l_i - C_i`, and s² is the running variance of the lowest signal about its baseline.
//! Both decay by 0.8 a step. An estimate uses their values from earlier batches, so they add no bias: phi follows the
//! gradient of the ELBO divided by `max(1, s)`, one number for all layers. (The authors update both with the current
//! batch first.) With several samples of a row everything is averaged over them.
//!
//! Gradients are means over the batch.
//!
//! # Reference
//! Mnih, Gregor, "Neural variational inference and learning in belief networks", ICML 2014, arXiv:1402.0030,
//! algorithm 1.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::{
    Batch, Claims, Direction, Estimate, Follows, Gradients, Key, Layerwise, Measured, Memory, Proposals,
    Role, Scope, Strategy, Term,
};
use helmholtz_ops::into_f64;
use helmholtz_ops::rows::repeat_rows;

use crate::baseline::Baseline;
use crate::wake::{diagnose_mean, per_row, propose, scored, wake_theta};

/// The score-function estimator with learned baselines, layer by layer.
#[derive(Module, Debug)]
pub struct Nvil {
    /// Samples per observation; 1 in the paper.
    pub samples: usize,
    /// Whether signals are divided by their running standard deviation, where it is above one.
    pub normalise: bool,
    /// Whether the running means and variance are updated.
    adapts: bool,
    /// `C_i`, one for each recognition layer.
    baselines: Vec<Baseline>,
    /// `c_i`, `[layers]`, in single precision whatever the model's type, so that a checkpoint holds what is used.
    centres: Memory<Tensor<1>>,
    /// s²: `[1]`.
    variance: Memory<Tensor<1>>,
}

/// Hidden units of a baseline, as in the paper.
pub const HIDDEN: usize = 100;
/// How much of the running mean and variance a step keeps, as in the paper.
const DECAY: f64 = 0.8;

impl Nvil {
    /// With `samples` per observation, for a model with layers of `sizes` units, from the data up and including the
    /// data. `key` determines the initial weights of the baselines.
    ///
    /// # Panics
    /// If `samples` is zero or there is no latent layer.
    pub fn new(samples: usize, sizes: &[usize], key: Key, device: &Device) -> Self {
        assert!(samples > 0, "nvil needs at least one sample per observation");
        assert!(sizes.len() > 1, "nvil needs at least one recognition layer");
        let inputs = &sizes[..sizes.len() - 1];
        let key = key.child(Role::Init).child("nvil");
        let baseline = |(i, &d): (usize, &usize)| Baseline::new(d, HIDDEN, key.child(i), device);
        let place = (device, DType::F32);
        Nvil {
            samples,
            normalise: true,
            adapts: true,
            baselines: inputs.iter().enumerate().map(baseline).collect(),
            centres: Memory::new(Tensor::zeros([inputs.len()], place)),
            variance: Memory::new(Tensor::zeros([1], place)),
        }
    }

    /// `c_i` and s² after the calls so far.
    pub fn state(&self) -> (Vec<f64>, f64) {
        (self.centres.numbers(), self.variance.numbers()[0])
    }

    /// The same strategy with other running means and variance.
    pub fn with_state(self, centres: &[f64], variance: f64) -> Self {
        assert_eq!(centres.len(), self.baselines.len(), "one centre for each recognition layer");
        self.centres.set_numbers(centres);
        self.variance.set_numbers(&[variance]);
        self
    }

    /// The same strategy with its running means and variance fixed, so that its estimates have one distribution.
    pub fn held(self) -> Self {
        Nvil { adapts: false, ..self }
    }

    /// What the signals are divided by.
    fn scale(&self) -> f64 {
        if self.normalise { self.state().1.sqrt().max(1.0) } else { 1.0 }
    }

    /// The update at given proposals, with the current state.
    ///
    /// Besides its measures it returns the signals `l_i - C_i` of each layer, which update the state.
    pub fn update<M: Layerwise>(
        &self,
        model: &M,
        x: Tensor<2>,
        proposals: &Proposals<M::Latents>,
        into: &mut Gradients,
    ) -> (Vec<Measured>, Signals) {
        let log_weights = proposals.log_weights();
        let [batch, k] = log_weights.dims();
        let share = 1.0 / k as f64;
        wake_theta(model, x.clone(), proposals, log_weights.full_like(share), into);
        let ((centres, _), scale) = (self.state(), self.scale());
        let (p, q) = (&proposals.p.by_layer, &proposals.q.by_layer);
        let mut signal = p[q.len()].clone();
        let mut found = vec![Tensor::empty([0], &signal.device()); q.len()];
        for (i, baseline) in self.baselines.iter().enumerate().rev() {
            signal = signal + p[i].clone() - q[i].clone();
            let below = if i == 0 { x.clone() } else { proposals.latents[i - 1].clone() };
            let input = if i == 0 { repeat_rows(x.clone(), k) } else { below.clone() };
            let predicted = baseline.predict(input.clone());
            let residual = signal.clone() - predicted.values.clone().cast(signal.dtype());
            found[i] = residual.clone();
            let residual = (residual - centres[i]).reshape([batch, k]) * share;
            let weights = per_row(residual.clone() / scale);
            let (h, trace) = (proposals.latents[i].clone(), proposals.q.traces[i].clone());
            model.recognition_gradient(i + 1, h, below, trace, weights, into);
            baseline.gradient(input, predicted, per_row(residual), into);
        }
        (diagnose_mean(log_weights), Signals(found))
    }

    /// Updates the running means and variance with `signals`.
    fn adapt(&self, signals: Signals) {
        let (mut centres, mut variance) = self.state();
        let keep = |old: f64, new: f64| DECAY * old + (1.0 - DECAY) * new;
        for (i, (centre, signals)) in centres.iter_mut().zip(signals.0).enumerate() {
            let values = into_f64(signals);
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
            if !(mean.is_finite() && spread.is_finite()) {
                // The bound is not finite either, which stops the run.
                return;
            }
            *centre = keep(*centre, mean);
            if i == 0 {
                variance = keep(variance, spread);
            }
        }
        self.centres.set_numbers(&centres);
        self.variance.set_numbers(&[variance]);
    }
}

/// `l_i - C_i` of each recognition layer, one for each proposal.
pub struct Signals(Vec<Tensor<1>>);

impl<M: Layerwise> Strategy<M> for Nvil {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        let (x, batch) = (batch.whole(), batch.len());
        let mut gradients = Gradients::new();
        let proposals = propose(model, x.clone(), self.samples, 0.0, key);
        let (measured, signals) = self.update(model, x, &proposals, &mut gradients);
        if self.adapts {
            self.adapt(signals);
        }
        Estimate { gradients, measured, evaluations: scored(batch * self.samples) }
    }

    fn scope(&self) -> Scope {
        Scope::AcrossBatches
    }

    fn continuing(&self, other: &Self) -> Self {
        Nvil { samples: self.samples, normalise: self.normalise, ..other.clone() }
    }
}

impl Claims for Nvil {
    fn follows(&self) -> Follows {
        let scaled = Term { share: 1.0 / self.scale(), direction: Direction::Elbo };
        Follows { phi: vec![scaled], ..Follows::new(Direction::Elbo, Direction::Elbo) }
    }
}
