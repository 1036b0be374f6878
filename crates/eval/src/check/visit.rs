//! Latent states that short Markov chains look at, with `log p(x, h)` of each.
//!
//! A chain updates one bit after the other, by Gibbs sampling of `p(x, h)^β`. The first chain of a row begins at a
//! draw of q and has β = 1, so it samples the posterior from the start if q is right. Others begin at draws of the
//! prior and of the uniform distribution, with β rising to 1: they may find what q misses. Every state that is scored
//! on the way counts as visited, whether the chain goes there or not.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};
use helmholtz_core::{Draws, Key, Layerwise};
use helmholtz_ops::{into_f64, noise, on_workers};

/// The bits of all latents, 64 per word.
pub(super) type State = Vec<u64>;

/// Draws of q that the first chain of a row chooses its start from.
const STARTS: usize = 64;
/// Up to this many latent bits, states are few enough that visiting many of them pays.
const FEW_BITS: usize = 64;
/// States that the chains of a row may score if there are few bits.
const BUDGET: usize = 512;
/// The most sweeps.
const SWEEPS: usize = 8;

/// What the chains of a row have seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Visited {
    /// `log p(x, h)` of every state.
    pub(super) states: BTreeMap<State, f64>,
    /// `log p(x, h) - log q(h | x)` of the first chain after each sweep.
    pub(super) log_weights: Vec<f64>,
}

impl Visited {
    /// `log Σ p(x, h)` over the states.
    pub(super) fn log_sum(&self) -> f64 {
        self.states.values().fold(f64::NEG_INFINITY, |sum, &log_p| log_add(sum, log_p))
    }
}

/// `log(exp a + exp b)`.
pub(super) fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// Layers side by side, row after row, and the width of a row.
pub(super) fn rows_of(layers: &[Tensor<2>]) -> (Vec<f32>, usize) {
    if layers.is_empty() {
        return (Vec::new(), 0);
    }
    let all = Tensor::cat(layers.to_vec(), 1);
    let [_, width] = all.dims();
    (all.into_data_as::<f32>().try_to_vec().expect("converted to f32 just now"), width)
}

/// The state of a row of bits.
pub(super) fn pack(bits: &[f32]) -> State {
    let word =
        |bits: &[f32]| bits.iter().enumerate().fold(0u64, |word, (i, &bit)| word | u64::from(bit > 0.5) << i);
    bits.chunks(64).map(word).collect()
}

/// Chains over the latent states of a model.
pub(super) struct Explorer<'a, M> {
    model: &'a M,
    key: Key,
    sizes: Vec<usize>,
    device: Device,
    dtype: DType,
}

/// Where chains are: `n * c` rows of bits, the c chains of a row of x side by side.
struct Walk {
    bits: Vec<f32>,
    log_p: Vec<f64>,
    chains: usize,
}

impl<'a, M: Layerwise> Explorer<'a, M> {
    /// Chains that make all their draws under `key`.
    pub(super) fn new(model: &'a M, key: Key) -> Self {
        // Any draw shows how wide the layers are.
        let (_, latents) = model.dream(&Draws::new(key, 1, 1));
        let sizes = latents.iter().map(|layer| layer.dims()[1]).collect();
        Explorer { model, key, sizes, device: model.device(), dtype: model.dtype() }
    }

    fn width(&self) -> usize {
        self.sizes.iter().sum()
    }

    /// The layers of rows of bits.
    fn latents(&self, bits: &[f32]) -> Vec<Tensor<2>> {
        let (width, n) = (self.width(), bits.len() / self.width());
        let data = TensorData::new(bits.to_vec(), [n, width]);
        let all = Tensor::<2>::from_data(data, (&self.device, self.dtype));
        let mut start = 0;
        let cut = self.sizes.iter().map(|d| {
            start += d;
            all.clone().slice([0..n, start - d..start])
        });
        cut.collect()
    }

    /// `log p(x, h)` of rows of bits.
    fn log_joint(&self, x: &Tensor<2>, bits: &[f32]) -> Vec<f64> {
        let (model, x, h) = (self.model.clone(), x.clone(), self.latents(bits));
        into_f64(on_workers(&self.device, move || model.trace_joint(x, &h).log_prob))
    }

    fn log_posterior(&self, x: &Tensor<2>, bits: &[f32]) -> Vec<f64> {
        let (model, x, h) = (self.model.clone(), x.clone(), self.latents(bits));
        into_f64(on_workers(&self.device, move || model.trace_posterior(x, &h).log_prob))
    }

    /// Runs chains from draws of q, and from elsewhere if there are few bits.
    pub(super) fn visit_rows(&self, x: Tensor<2>, rows: Arc<[u64]>) -> Vec<Visited> {
        let mut visited = vec![Visited::default(); rows.len()];
        let mut starts = vec![self.chosen(&x, &rows, &mut visited)];
        if self.width() <= FEW_BITS {
            for chain in 0..2u64 {
                let draws = Draws::of_rows(self.key.child("prior").child(chain), rows.clone(), 1);
                starts.push(rows_of(&self.model.dream(&draws).1).0);
            }
            starts.push(self.uniform(&rows));
        }
        self.walk(x, &rows, &starts, &mut visited);
        visited
    }

    /// Runs one chain of each row from the given states and returns its log weights after each sweep.
    pub(super) fn along(
        &self,
        x: Tensor<2>,
        rows: Arc<[u64]>,
        (starts, _): (Vec<f32>, usize),
    ) -> Vec<Vec<f64>> {
        let mut visited = vec![Visited::default(); rows.len()];
        self.walk(x, &rows, &[starts], &mut visited);
        visited.into_iter().map(|of_row| of_row.log_weights).collect()
    }

    /// Bits that are 1 with probability one half.
    fn uniform(&self, rows: &Arc<[u64]>) -> Vec<f32> {
        let draws = Draws::of_rows(self.key.child("uniform"), rows.clone(), 1);
        let u = noise::uniform(&draws, self.width(), DType::F32, &self.device);
        rows_of(&[u]).0.into_iter().map(|u| f32::from(u < 0.5)).collect()
    }

    /// One of several draws of q for each row, chosen by its weight; all of them count as visited.
    fn chosen(&self, x: &Tensor<2>, rows: &Arc<[u64]>, visited: &mut [Visited]) -> Vec<f32> {
        let draws = Draws::of_rows(self.key.child("start"), rows.clone(), STARTS);
        let proposals = {
            let (model, x) = (self.model.clone(), x.clone());
            on_workers(&self.device, move || model.propose(x, &draws, 0.0))
        };
        let log_p = into_f64(proposals.p.log_prob.clone());
        let log_w = into_f64(proposals.log_weights());
        let (bits, width) = rows_of(&proposals.latents);
        let u = Draws::of_rows(self.key.child("choice"), rows.clone(), 1);
        let (u, _) = rows_of(&[noise::uniform(&u, 1, DType::F32, &self.device)]);
        let mut chosen = Vec::with_capacity(rows.len() * width);
        for (i, visited) in visited.iter_mut().enumerate() {
            let of_row = i * STARTS..(i + 1) * STARTS;
            let state = |j: usize| &bits[j * width..(j + 1) * width];
            visited.states.extend(of_row.clone().map(|j| (pack(state(j)), log_p[j])));
            let max = log_w[of_row.clone()].iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = log_w[of_row.clone()].iter().map(|w| (w - max).exp()).collect();
            let mut left = f64::from(u[i]) * weights.iter().sum::<f64>();
            let passed = weights.iter().take_while(|&&w| {
                left -= w;
                left >= 0.0
            });
            let place = passed.count().min(STARTS - 1);
            chosen.extend_from_slice(state(of_row.start + place));
        }
        chosen
    }

    fn sweeps(&self, chains: usize) -> usize {
        match self.width() {
            0 => 0,
            bits if bits <= FEW_BITS => (BUDGET / (bits * chains)).clamp(2, SWEEPS),
            _ => 1,
        }
    }

    /// Walks from the starts, one set of them for each chain.
    fn walk(&self, x: Tensor<2>, rows: &Arc<[u64]>, starts: &[Vec<f32>], visited: &mut [Visited]) {
        let (n, width, chains) = (rows.len(), self.width(), starts.len());
        if width == 0 {
            return;
        }
        let side_by_side = |i: usize| starts.iter().flat_map(move |start| &start[i * width..(i + 1) * width]);
        let bits: Vec<f32> = (0..n).flat_map(side_by_side).copied().collect();
        let log_p = self.log_joint(&x, &bits);
        let mut at = Walk { bits, log_p, chains };
        at.record(visited, width, &at.bits, &at.log_p);
        let sweeps = self.sweeps(chains);
        for sweep in 0..sweeps {
            // The first chain samples the posterior throughout; the others come from far away.
            let risen = ((sweep + 1) as f64 / sweeps as f64).powi(2).max(0.1);
            let beta = |chain: usize| if chain == 0 { 1.0 } else { risen };
            let draws = Draws::of_rows(self.key.child("sweep").child(sweep), rows.clone(), chains);
            let (u, _) = rows_of(&[noise::uniform(&draws, width, DType::F32, &self.device)]);
            for j in 0..width {
                let mut flipped = at.bits.clone();
                flipped.iter_mut().skip(j).step_by(width).for_each(|bit| *bit = 1.0 - *bit);
                let log_p = self.log_joint(&x, &flipped);
                at.record(visited, width, &flipped, &log_p);
                for i in 0..n * chains {
                    let odds = (beta(i % chains) * (at.log_p[i] - log_p[i])).exp();
                    if f64::from(u[i * width + j]) * (1.0 + odds) < 1.0 {
                        at.bits[i * width + j] = flipped[i * width + j];
                        at.log_p[i] = log_p[i];
                    }
                }
            }
            let first: Vec<f32> = (0..n)
                .flat_map(|i| &at.bits[i * chains * width..(i * chains + 1) * width])
                .copied()
                .collect();
            let log_q = self.log_posterior(&x, &first);
            for (i, of_row) in visited.iter_mut().enumerate() {
                of_row.log_weights.push(at.log_p[i * chains] - log_q[i]);
            }
        }
    }
}

impl Walk {
    /// Records states with their `log p(x, h)` as visited.
    fn record(&self, visited: &mut [Visited], width: usize, bits: &[f32], log_p: &[f64]) {
        for (i, (state, &log_p)) in bits.chunks_exact(width).zip(log_p).enumerate() {
            visited[i / self.chains].states.insert(pack(state), log_p);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_logarithms_take_zero_weights() {
        assert_eq!(log_add(f64::NEG_INFINITY, -2.0), -2.0);
        assert_eq!(log_add(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert!((log_add(1f64.ln(), 3f64.ln()) - 4f64.ln()).abs() < 1e-15);
    }
}
