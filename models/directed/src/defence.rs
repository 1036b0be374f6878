//! Proposals from a mixture of the recognition net with distributions that give every state positive probability.
//!
//! `r(h | x) = (1 - d) q(h | x) + d/2 p(h) + d/2 2^-D` over D latent bits. Each sample comes from one of the three
//! components and is weighted with the density of the whole mixture, so the expected mean weight is p(x).
//!
//! # Reference
//! Owen, Zhou, "Safe and effective importance sampling", JASA 95, 2000.

use burn::tensor::{Int, Tensor, TensorData};
use helmholtz_core::{Conditional, Draws, LatentVariableModel, Prior, Role, Trainable};
use helmholtz_ops::log_weights::log_sum_exp;

use crate::stack::{Stack, layer_draws, marks};

/// Number of bits for the sample in the combined number of row and sample: an evaluation takes at most 2^30 samples.
const SAMPLES: u32 = 30;

impl<C: Conditional, P: Prior> Stack<C, P> {
    /// `log p(x, h) - log r(h | x)` with `h ~ r`: `[batch, k]`.
    pub(crate) fn defended(&self, x: Tensor<2>, draws: &Draws, defence: f64) -> Tensor<2> {
        let uniform = marks(draws, 0.0..0.5 * defence);
        let prior = marks(draws, 0.5 * defence..defence);
        let mut latents: Vec<Tensor<2>> = Vec::with_capacity(self.depth());
        let mut y = x.clone() - self.centre.val().unsqueeze();
        for (l, layer) in self.recognition.iter().enumerate() {
            y = layer.draw(y, &layer_draws(draws, l), Some(&uniform)).x;
            latents.push(y.clone());
        }
        let latents = self.with_prior(latents, draws, &prior);
        let [p, q] = [self.trace_joint(x.clone(), &latents), self.trace_posterior(x, &latents)];
        // The joint without the lowest layer, p(x | h), is p(h).
        let log_prior =
            p.by_layer[1..].iter().cloned().reduce(|sum, layer| sum + layer).expect("there is a prior");
        let bits = self.latent_sizes().iter().sum::<usize>() as f64;
        let half = (0.5 * defence).ln();
        let log_uniform = q.log_prob.full_like(half - bits * std::f64::consts::LN_2);
        let parts = [q.log_prob + (1.0 - defence).ln(), log_prior + half, log_uniform];
        let parts = parts.map(|log_part| log_part.unsqueeze_dim::<2>(1));
        let log_weights: Tensor<1> = p.log_prob - log_sum_exp(Tensor::cat(parts.to_vec(), 1));
        log_weights.reshape([draws.n_rows(), draws.k()])
    }

    /// The latents, with the marked rows replaced by draws from the prior.
    fn with_prior(&self, latents: Vec<Tensor<2>>, draws: &Draws, marked: &[bool]) -> Vec<Tensor<2>> {
        let cells = (0..draws.len()).filter(|&i| marked[i]).map(|i| draws.cell(i));
        let numbers: Vec<u64> = cells.map(|(row, sample)| row << SAMPLES | u64::from(sample)).collect();
        if numbers.is_empty() {
            return latents;
        }
        let n = latents[0].dims()[0] as i64;
        let mut next = n;
        let from = (0..n).zip(marked).map(|(own, &marked)| {
            next += i64::from(marked);
            if marked { next - 1 } else { own }
        });
        let from = TensorData::new(from.collect::<Vec<i64>>(), [n as usize]);
        let from = Tensor::<1, Int>::from_data(from, &self.device());
        let of_prior = self.dream(&Draws::of_rows(draws.key().child(Role::Defensive), numbers, 1)).1;
        let pairs = latents.into_iter().zip(of_prior);
        pairs.map(|(own, other)| Tensor::cat(vec![own, other], 0).select(0, from.clone())).collect()
    }
}
