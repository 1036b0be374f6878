//! What strategies are built from: proposals, the wake and sleep updates of both nets, and diagnostics.
//!
//! All take a model by its traits alone, so that a strategy of one's own is a page: draw proposals, turn their
//! log-weights into weights or signals, add the updates.
//!
//! Weights and signals are constants `[B, K]`; gradients are those of losses, means over the batch of B rows.

use burn::tensor::Tensor;
use helmholtz_core::{
    Draws, Estimate, Gradients, Key, LatentVariableModel, Measure, Measured, Proposals, Role,
};
use helmholtz_ops::log_weights::{effective_share, log_mean_exp, normalise};
use thiserror::Error;

/// One sample where an estimator needs several.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "samples = {samples}: {strategy} takes a sample's baseline from the other samples; use at least 2 (K >= 2)"
)]
pub struct TooFewSamples {
    /// The strategy.
    pub strategy: &'static str,
    /// The number of samples that was given.
    pub samples: usize,
}

/// Returns `samples` if there are two or more.
pub(crate) fn at_least_two(strategy: &'static str, samples: usize) -> Result<usize, TooFewSamples> {
    if samples < 2 { Err(TooFewSamples { strategy, samples }) } else { Ok(samples) }
}

/// The proposals of the wake phase: `k` samples `h ~ q(h | x)` for each row of `x`, scored by p and q.
///
/// `defence` is the share of the uniform distribution in the proposals, if latents are bits; 0 leaves q alone.
///
/// # Shapes
/// - `x`: `[B, d_x]`; the proposals have `B k` rows, those of a row of `x` side by side
pub fn propose<M: LatentVariableModel>(
    model: &M,
    x: Tensor<2>,
    k: usize,
    defence: f64,
    key: Key,
) -> Proposals<M::Latents> {
    let [batch, _] = x.dims();
    model.propose(x, &Draws::new(key.child(Role::Wake), batch, k), defence)
}

/// Number of model evaluations of this number of proposals: p and q score each.
pub fn scored(proposals: usize) -> u64 {
    2 * proposals as u64
}

/// Adds the wake gradient of the generative net: the loss `-1/B Σ_b Σ_k w_bk log p(x_b, h_bk)`.
pub fn wake_theta<M: LatentVariableModel>(
    model: &M,
    x: Tensor<2>,
    proposals: &Proposals<M::Latents>,
    weights: Tensor<2>,
    into: &mut Gradients,
) {
    let weights = per_row(weights);
    model.joint_gradient(x, &proposals.latents, &proposals.p.traces, weights, into);
}

/// Adds the gradient of the recognition net on the data: the loss `-1/B Σ_b Σ_k c_bk log q(h_bk | x_b)`.
pub fn wake_phi<M: LatentVariableModel>(
    model: &M,
    x: Tensor<2>,
    proposals: &Proposals<M::Latents>,
    weights: Tensor<2>,
    into: &mut Gradients,
) {
    model.posterior_gradient(x, &proposals.latents, &proposals.q.traces, per_row(weights), into);
}

/// The estimate that `update` makes from `k` proposals from q for each row of `x`.
pub fn estimate_of_proposals<M: LatentVariableModel>(
    model: &M,
    x: Tensor<2>,
    k: usize,
    key: Key,
    update: impl FnOnce(&Proposals<M::Latents>, &mut Gradients) -> Vec<Measured>,
) -> Estimate {
    let [batch, _] = x.dims();
    let mut gradients = Gradients::new();
    let proposals = propose(model, x, k, 0.0, key);
    let measured = update(&proposals, &mut gradients);
    Estimate { gradients, measured, evaluations: scored(batch * k) }
}

/// Adds the gradient of the recognition net on dreams: the loss `-share/B Σ_b log q(h_b | x_b)`
/// with `x_b, h_b ~ p`.
pub fn sleep_phi<M: LatentVariableModel>(
    model: &M,
    batch: usize,
    share: f64,
    key: Key,
    into: &mut Gradients,
) {
    let (x, h) = model.dream(&Draws::new(key.child(Role::Sleep), batch, 1));
    sleep_phi_at(model, x, &h, share, into);
}

/// [`sleep_phi`] at given dreams.
pub fn sleep_phi_at<M: LatentVariableModel>(
    model: &M,
    x: Tensor<2>,
    h: &M::Latents,
    share: f64,
    into: &mut Gradients,
) {
    let [batch, _] = x.dims();
    let q = model.trace_posterior(x.clone(), h);
    let weights = q.log_prob.full_like(share / batch as f64);
    model.posterior_gradient(x, h, &q.traces, weights, into);
}

/// `[B, K]` weights or signals as one weight per matrix row, divided by B for the mean over the batch.
pub fn per_row(weights: Tensor<2>) -> Tensor<1> {
    let [batch, k] = weights.dims();
    weights.reshape([batch * k]) / batch as f64
}

/// The bound and the effective sample size of a batch of weights.
pub fn diagnose(log_weights: Tensor<2>) -> Vec<Measured> {
    let bound = log_mean_exp(log_weights.clone()).mean();
    vec![Measure::BOUND.is(bound), ess(log_weights)]
}

/// The same for equal weights: the bound is the mean of `log w`, as in the evidence lower bound.
pub fn diagnose_mean(log_weights: Tensor<2>) -> Vec<Measured> {
    vec![Measure::BOUND.is(log_weights.clone().mean()), ess(log_weights)]
}

fn ess(log_weights: Tensor<2>) -> Measured {
    Measure::ESS.is(effective_share(normalise(log_weights)).mean())
}
