//! `log p̃*(x) / 2` of proposals.

use burn::tensor::Tensor;
use helmholtz_core::{Draws, Key, LatentVariableModel};
use helmholtz_ops::log_weights::log_mean_exp;

/// Pairs of a row and a sample that are processed at a time. This bounds the memory.
const PAIRS: usize = 20_000;

/// `log 1/K Σ_k √(p(x, h_k) / q(h_k | x))` with K = `inner` samples of `q` for each row of `x`: the mean is an
/// unbiased estimate of `√p̃*(x)`. The draws are keyed by the number of the row, counted from `first_row`.
pub(crate) fn log_root_marginal<M: LatentVariableModel>(
    model: &M,
    x: Tensor<2>,
    inner: usize,
    first_row: usize,
    key: Key,
) -> Tensor<1> {
    let [n, _] = x.dims();
    let at_once = (PAIRS / inner).max(1);
    let parts = (0..n).step_by(at_once).map(|first| {
        let rows = first..(first + at_once).min(n);
        let numbers: Vec<u64> = rows.clone().map(|row| (first_row + row) as u64).collect();
        let draws = Draws::of_rows(key, numbers, inner);
        log_mean_exp(model.log_weights(x.clone().slice(rows), &draws) * 0.5)
    });
    Tensor::cat(parts.collect(), 0)
}
