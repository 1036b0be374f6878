//! The K proposals of a row, and the share that another sample has among them.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Tensor;
use helmholtz_core::{Draws, Key, LatentVariableModel, Layerwise};
use helmholtz_ops::{into_f64, on_workers};

use super::checked::Check;
use super::visit::{State, pack, rows_of};

/// How often each state was drawn, and its log weight, which all draws of it share.
pub(super) type ByState = BTreeMap<State, (u32, f64)>;

/// Statistics of the draws of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proposed {
    /// Their number.
    pub(super) k: usize,
    /// `log Σ w`.
    pub(super) log_sum: f64,
    /// The mean share that a draw chosen by weight would have if it were put among them once more.
    pub(super) own_share: f64,
    /// `-1/K Σ log q(h_k | x)`; NaN where latents are real numbers.
    pub(super) entropy: f64,
}

/// `w / (w + Σ)` from the logarithms.
pub(super) fn share(log_weight: f64, log_sum: f64) -> f64 {
    if log_weight == f64::NEG_INFINITY { 0.0 } else { 1.0 / (1.0 + (log_sum - log_weight).exp()) }
}

impl Proposed {
    fn of(log_weights: &[f64], entropy: f64) -> Self {
        let max = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if max == f64::NEG_INFINITY {
            return Proposed { k: log_weights.len(), log_sum: max, own_share: 0.0, entropy };
        }
        let log_sum = max + log_weights.iter().map(|w| (w - max).exp()).sum::<f64>().ln();
        let own = log_weights.iter().map(|&w| (w - log_sum).exp() * share(w, log_sum));
        Proposed { k: log_weights.len(), log_sum, own_share: own.sum(), entropy }
    }
}

/// Calls `tell` with the index of each row of `x` and the statistics of its draws.
pub(super) fn for_each_row<M: LatentVariableModel>(
    check: &Check,
    model: &M,
    x: Tensor<2>,
    rows: Arc<[u64]>,
    key: Key,
    mut tell: impl FnMut(usize, Proposed),
) {
    in_chunks(
        check,
        x,
        &rows,
        key,
        |x, draws| {
            let (model, device) = (model.clone(), model.device());
            into_f64(on_workers(&device, move || model.log_weights(x, &draws)))
                .into_iter()
                .map(|log_weight| (log_weight, ()))
                .collect()
        },
        |i, log_weights, _| tell(i, Proposed::of(&log_weights, f64::NAN)),
    );
}

/// [`for_each_row`], with the states of the draws as well.
pub(super) fn for_each_row_by_state<M: Layerwise>(
    check: &Check,
    model: &M,
    x: Tensor<2>,
    rows: Arc<[u64]>,
    key: Key,
    mut tell: impl FnMut(usize, Proposed, ByState),
) {
    in_chunks(
        check,
        x,
        &rows,
        key,
        |x, draws| {
            let (model, device) = (model.clone(), model.device());
            let proposals = on_workers(&device, move || model.propose(x, &draws, 0.0));
            let log_weights = into_f64(proposals.log_weights());
            let log_q = into_f64(proposals.q.log_prob);
            let (states, width) = rows_of(&proposals.latents);
            let states = states.chunks_exact(width.max(1)).map(pack);
            log_weights.into_iter().zip(log_q.into_iter().zip(states)).collect()
        },
        |i, log_weights, rest: Vec<(f64, State)>| {
            let entropy = -rest.iter().map(|(log_q, _)| log_q).sum::<f64>() / rest.len() as f64;
            let proposed = Proposed::of(&log_weights, entropy);
            let mut states = ByState::new();
            for (log_weight, (_, state)) in log_weights.into_iter().zip(rest) {
                states.entry(state).or_insert((0, log_weight)).0 += 1;
            }
            tell(i, proposed, states);
        },
    );
}

/// Draws K samples of each row, in batches of up to `chunk` matrix rows, and gathers them row by row.
fn in_chunks<T>(
    check: &Check,
    x: Tensor<2>,
    rows: &[u64],
    key: Key,
    mut draw: impl FnMut(Tensor<2>, Draws) -> Vec<(f64, T)>,
    mut tell: impl FnMut(usize, Vec<f64>, Vec<T>),
) {
    let (&Check { samples: k, chunk, .. }, [_, d]) = (check, x.dims());
    let at_once = k.min(chunk.max(1));
    let rows_at_once = (chunk / at_once).max(1);
    for (part, numbers) in rows.chunks(rows_at_once).enumerate() {
        let first = part * rows_at_once;
        let x = x.clone().slice([first..first + numbers.len(), 0..d]);
        let draws = Draws::of_rows(key, numbers.to_vec(), k);
        let mut gathered: Vec<(Vec<f64>, Vec<T>)> = Vec::new();
        gathered.resize_with(numbers.len(), Default::default);
        for from in (0..k).step_by(at_once) {
            let samples = from..(from + at_once).min(k);
            let n = samples.len();
            let drawn = draw(x.clone(), draws.samples(samples));
            for (i, (log_weight, rest)) in drawn.into_iter().enumerate() {
                let of_row = &mut gathered[i / n];
                of_row.0.push(log_weight);
                of_row.1.push(rest);
            }
        }
        for (i, (log_weights, rest)) in gathered.into_iter().enumerate() {
            tell(first + i, log_weights, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_give_every_draw_its_share_and_a_lone_one_half() {
        let equal = Proposed::of(&[-3.0; 4], 0.0);
        assert!((equal.own_share - 0.2).abs() < 1e-15 && (equal.log_sum - (4f64.ln() - 3.0)).abs() < 1e-14);
        let lone = Proposed::of(&[0.0, -1000.0], 0.0);
        assert!((lone.own_share - 0.5).abs() < 1e-15);
        assert_eq!(share(f64::NEG_INFINITY, 0.0), 0.0);
        let none = Proposed::of(&[f64::NEG_INFINITY; 3], 0.0);
        assert_eq!((none.own_share, share(-5.0, none.log_sum)), (0.0, 1.0));
        assert!((share(40.0, 0.0) - 1.0).abs() < 1e-15);
    }
}
