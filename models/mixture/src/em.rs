//! Expectation maximisation (EM).
//!
//! With the responsibilities r of the components for a row, the sufficient statistics are means over the rows:
//!
//! ```text
//! mass_k = E r_k        seen_kj = E r_k mⱼ        ones_kj = E r_k mⱼ xⱼ
//! ```
//!
//! They are concatenated into a vector of `C K (1 + 2 d)` numbers. The layout is the same for every batch, with missing
//! values (`seen_kj < mass_k`) or without.
//!
//! With a share `s / (C K)` of pseudo-rows of mean `m̄` in each component, the maximum is at
//!
//! ```text
//! p(k) ∝ mass_k + s / (C K)        l_kj = log(ones_kj + m̄ⱼ s / (C K)) - log(seen_kj - ones_kj + (1 - m̄ⱼ) s / (C K))
//! ```
//!
//! The N rows and the `s N` pseudo-rows together give the posterior of a Dirichlet prior over the weights and of Beta
//! priors over the means of the units.
//! Each step of EM over all rows raises the mean of `log p` plus [`log_prior`](BernoulliMixture::log_prior), or leaves
//! it unchanged if its gradient is zero. The gradient of [`Tractable`](helmholtz_core::Tractable) is that of the
//! likelihood alone.
//!
//! Without smoothing the maximum may be at infinity. No share counts as less than 1e-30, so parameters stay finite, and
//! a component without rows has units of mean one half.
//!
//! # Reference
//! Dempster, Laird, Rubin, "Maximum likelihood from incomplete data via the EM algorithm", Journal of the Royal
//! Statistical Society B 39, 1977. Statistics can be averaged over batches: Cappé, Moulines, "On-line
//! expectation-maximization algorithm for latent data models", Journal of the Royal Statistical Society B 71, 2009.

use burn::tensor::Tensor;
use helmholtz_core::{Batch, Expectation, Gradients, Trainable};
use helmholtz_ops::{bernoulli, product, rows};

use crate::BernoulliMixture;

/// The smallest share whose logarithm is taken. It and its inverse are normal numbers in f32, and it is too small to
/// matter in any sum.
const LEAST: f64 = 1e-30;

impl BernoulliMixture {
    /// The logarithm of the prior that [`smoothing`](Self::smoothing) stands for, per row of the data and up to a
    /// constant: `[1]`.
    ///
    /// `s / (C K) Σ_k [log p(k) + Σⱼ m̄ⱼ log σ(l_kj) + (1 - m̄ⱼ) log(1 - σ(l_kj))]`, differentiable by autodiff in
    /// the parameters.
    pub fn log_prior(&self) -> Tensor<1> {
        let of_units = bernoulli::log_prob(self.prior_mean.val().unsqueeze(), self.logits.val());
        (of_units + self.log_weights()).sum() * self.pseudo_share()
    }

    /// The pseudo-rows of a component, as a share of the rows.
    fn pseudo_share(&self) -> f64 {
        self.smoothing / (self.classes * self.components()) as f64
    }
}

/// # Panics
/// If there are classes and the targets are real numbers.
impl Expectation for BernoulliMixture {
    fn expected_statistics(&self, batch: &Batch) -> (Tensor<1>, Tensor<1>) {
        let (r, log_prob) = self.responsibilities_of(batch, self.log_joint(batch));
        let share = log_prob.ones_like() / batch.len() as f64;
        let (r, mass) = rows::weigh(r, share, 1);
        let ones = product::atb(r.clone(), batch.x.clone());
        let seen = match &batch.mask {
            Some(mask) => product::atb(r, mask.clone()),
            None => ones.ones_like() * mass.clone().unsqueeze_dim(1),
        };
        (Tensor::cat(vec![mass, seen.flatten(0, 1), ones.flatten(0, 1)], 0), log_prob)
    }

    fn beyond_maximum(&self, statistics: Tensor<1>, into: &mut Gradients) {
        let (k, d, share) = (self.classes * self.components(), self.observed(), self.pseudo_share());
        assert_eq!(
            statistics.dims(),
            [k + 2 * k * d],
            "wrong number of statistics for {k} components of {d} units"
        );
        let parts = statistics.split_with_sizes(vec![k, k * d, k * d], 0);
        let [mass, seen, ones] = parts.try_into().expect("three sizes");
        let (seen, ones) = (seen.reshape([k, d]), ones.reshape([k, d]));
        let pseudo_ones = (self.prior_mean.val() * share).unsqueeze::<2>();
        let pseudo_zeros = pseudo_ones.clone().neg() + share;
        let zeros = (seen - ones.clone() + pseudo_zeros).clamp_min(LEAST);
        let odds = (ones + pseudo_ones).clamp_min(LEAST) / zeros;
        into.add(&self.logits, self.logits.val() - odds.log());
        let weights = (mass + share).clamp_min(LEAST);
        into.add(&self.weights, self.weights.val() - (weights.clone() / weights.sum()).log());
    }
}
