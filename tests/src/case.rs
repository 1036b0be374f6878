//! A model with one observation, and exact expectations over its proposals.
//!
//! The expectation of an update over K proposals from S states is a sum over the `C(S + K - 1, K)` multisets of size K.
//! Each multiset is passed to the strategy as its proposals. The weighted sum of the updates is compared with the
//! gradient of the objective from automatic differentiation.

use burn::module::Module;
use burn::tensor::{DType, Int, Tensor, TensorData};
use helmholtz_core::{Enumerable, Gradients, LatentVariableModel, Proposals, Traced};
use helmholtz_directed::{HelmholtzMachine, LayerKind, StackConfig};
use helmholtz_ops::log_weights::log_sum_exp;

use crate::{Named, add_scaled, block, device, named, row, sbn, stack, taped, values};

/// Stacks of one, two and three layers with 8 latent states each.
pub const STACKS: [&[usize]; 3] = [&[3], &[2, 1], &[1, 1, 1]];
/// The observation of every case.
pub const X: [u8; 4] = [1, 0, 1, 1];

/// All multisets of size `k` from `s` states, as counts.
fn multisets(s: usize, k: usize) -> Vec<Vec<usize>> {
    if s == 1 {
        return vec![vec![k]];
    }
    (0..=k)
        .flat_map(|first| {
            multisets(s - 1, k - first).into_iter().map(move |mut rest| {
                rest.insert(0, first);
                rest
            })
        })
        .collect()
}

/// The probability of counts under independent draws from the distribution `law`.
fn probability(counts: &[usize], law: &[f64]) -> f64 {
    let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
    let k = counts.iter().sum();
    counts.iter().zip(law).fold(factorial(k), |p, (&n, q)| p * q.powi(n as i32) / factorial(n))
}

/// A model with one observation, all its latent states and the proposal distribution.
pub struct Case {
    /// The model.
    pub model: HelmholtzMachine,
    /// The observation: `[1, 4]`.
    pub x: Tensor<2>,
    /// All latent states.
    pub states: Vec<Tensor<2>>,
    /// `log p(x, h)` of each.
    pub log_p: Tensor<1>,
    /// `log q(h | x)` of each.
    pub log_q: Tensor<1>,
    /// The log-probability of each under the proposal distribution.
    pub log_proposal: Tensor<1>,
}

/// Stacks of SBN layers, and stacks that have the other kinds of layers in every place.
pub fn cases() -> Vec<(String, Case)> {
    let sbns = STACKS.iter().map(|latents| (format!("sbn {latents:?}"), Case::new(latents, 0.0)));
    let mixed = |generative: [LayerKind; 3], recognition: [LayerKind; 2]| {
        let config = StackConfig {
            generative: generative.to_vec(),
            recognition: recognition.to_vec(),
            ..StackConfig::new(X.len(), vec![2, 1])
        };
        (format!("{generative:?} {recognition:?}"), Case::of(stack(&config, 21), 0.0))
    };
    sbns.chain([
        mixed([LayerKind::Nade, LayerKind::Darn, LayerKind::Nade], [LayerKind::Nade, LayerKind::Dsbn]),
        mixed([LayerKind::Darn, LayerKind::Dsbn, LayerKind::Darn], [LayerKind::Darn, LayerKind::Nade]),
        mixed([LayerKind::Dsbn, LayerKind::Nade, LayerKind::Sbn], [LayerKind::Dsbn, LayerKind::Darn]),
    ])
    .collect()
}

impl Case {
    /// A stack of SBN layers whose proposals have a fraction `defence` of the uniform distribution mixed in.
    pub fn new(latents: &[usize], defence: f64) -> Self {
        Case::of(sbn(X.len(), latents, 21), defence)
    }

    /// A model whose proposals have a fraction `defence` of the uniform distribution mixed in.
    pub fn of(model: HelmholtzMachine, defence: f64) -> Self {
        let x = row(&X);
        let n = 1 << model.latent_bits();
        let states = model.states(0, n);
        let log_p = model.trace_joint(x.clone(), &states).log_prob;
        let log_q = model.trace_posterior(x.clone(), &states).log_prob;
        let log_proposal = (log_q.clone().exp() * (1.0 - defence) + defence / n as f64).log();
        Case { model, x, states, log_p, log_q, log_proposal }
    }

    /// The probability of each state under the proposal distribution.
    pub fn law(&self) -> Vec<f64> {
        values(self.log_proposal.clone().exp())
    }

    /// Proposals in which each state occurs as often as `counts` says.
    pub fn proposals(&self, counts: &[usize]) -> Proposals<Vec<Tensor<2>>> {
        let chosen: Vec<i64> =
            counts.iter().enumerate().flat_map(|(s, &n)| std::iter::repeat_n(s as i64, n)).collect();
        let k = chosen.len();
        let chosen = Tensor::<1, Int>::from_data(TensorData::new(chosen, [k]), &device());
        let latents: Vec<_> = self.states.iter().map(|h| h.clone().select(0, chosen.clone())).collect();
        let p: Traced = self.model.trace_joint(self.x.clone(), &latents);
        let q: Traced = self.model.trace_posterior(self.x.clone(), &latents);
        Proposals { latents, p, q, log_proposal: self.log_proposal.clone().select(0, chosen), k }
    }

    /// The exact expectation of a wake update with K proposals.
    pub fn expected(
        &self,
        k: usize,
        wake: impl Fn(&HelmholtzMachine, Tensor<2>, &Proposals<Vec<Tensor<2>>>, &mut Gradients),
    ) -> Named {
        let law = self.law();
        let mut sum = Named::new();
        for counts in multisets(law.len(), k) {
            let mut gradients = Gradients::new();
            wake(&self.model, self.x.clone(), &self.proposals(&counts), &mut gradients);
            add_scaled(&mut sum, &named(&self.model, &gradients), probability(&counts, &law));
        }
        sum
    }

    /// The gradient of a loss that is a function of the log-probabilities of all states, by automatic differentiation.
    pub fn reference(&self, loss: impl Fn(Tensor<1>, Tensor<1>) -> Tensor<1>) -> Named {
        let tracked = self.model.clone().train();
        let x = self.x.clone().autodiff();
        let states: Vec<_> = self.states.iter().map(|h| h.clone().autodiff()).collect();
        let loss = loss(tracked.log_joint(x.clone(), &states), tracked.log_posterior(x, &states));
        taped(&tracked, loss.backward())
    }

    /// `Σ_m P(m) log Σ_s n_s p(x, h_s) / proposal(h_s)` over multisets m, differentiable.
    pub fn bound(&self, k: usize, log_p: Tensor<1>) -> Tensor<1> {
        self.bound_of(k, log_p - self.log_proposal.clone().autodiff())
    }

    /// `Σ_m P(m) log Σ_s n_s exp(log w_s)` over multisets m, differentiable.
    pub fn bound_of(&self, k: usize, log_w: Tensor<1>) -> Tensor<1> {
        let law = self.law();
        let s = law.len();
        let all = multisets(s, k);
        let log_n: Vec<f64> = all.iter().flatten().map(|&n| (n as f64).ln()).collect();
        let p: Vec<f64> = all.iter().map(|counts| probability(counts, &law)).collect();
        let log_n = constant(log_n).reshape([all.len(), s]);
        // log 0 = -inf marks the states that are not in a multiset; with -1e6 their weight is exactly zero.
        let log_n = log_n.clone().mask_fill(log_n.is_inf(), -1e6);
        let log_sums = log_sum_exp(log_n + log_w.unsqueeze());
        (constant(p) * log_sums).sum()
    }
}

impl Case {
    // The arguments are the differentiable log-probabilities of all states under both nets.

    /// `E_q log p - log q`.
    pub fn elbo(log_p: Tensor<1>, log_q: Tensor<1>) -> Tensor<1> {
        (log_q.clone().exp() * (log_p - log_q)).sum()
    }

    /// `E log 1/K Σ_k w_k` over K draws from q, differentiable in the distribution of the draws as well.
    pub fn bound_under_q(k: usize, log_p: Tensor<1>, log_q: Tensor<1>) -> Tensor<1> {
        let [s] = log_q.dims();
        let all = multisets(s, k);
        let uniform = vec![1.0; s];
        let ways: Vec<f64> = all.iter().map(|counts| probability(counts, &uniform).ln()).collect();
        let counts: Vec<f64> = all.iter().flatten().map(|&n| n as f64).collect();
        let log_n: Vec<f64> = counts.iter().map(|n| n.ln().max(-1e6)).collect();
        let [counts, log_n] = [counts, log_n].map(|values| constant(values).reshape([all.len(), s]));
        let log_law = counts.matmul(log_q.clone().unsqueeze_dim(1)).squeeze_dim::<1>(1) + constant(ways);
        let log_sums = log_sum_exp(log_n + (log_p - log_q).unsqueeze()) - (k as f64).ln();
        (log_law.exp() * log_sums).sum()
    }
}

fn constant(values: Vec<f64>) -> Tensor<1> {
    let n = values.len();
    Tensor::<1>::from_data(TensorData::new(values, [n]), (&device(), DType::F64)).autodiff()
}

/// The gradients of the generative net.
pub fn theta(gradients: &Named) -> Named {
    ["generative", "prior"].iter().flat_map(|name| block(gradients, name)).collect()
}

/// The gradients of the recognition net.
pub fn phi(gradients: &Named) -> Named {
    block(gradients, "recognition")
}
