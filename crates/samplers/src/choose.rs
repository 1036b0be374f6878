//! Choosing one of several by its weight.

use burn::tensor::Tensor;
use helmholtz_core::Key;
use helmholtz_noise::fill_uniform;
use helmholtz_ops::into_f64;
use thiserror::Error;

/// A chain with no proposal that can be chosen.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error(
    "chain {chain}: the weights of all {proposals} proposals are zero or not finite; the parameters of the \
     model are not finite, or it gives its own state probability zero"
)]
pub struct NoWeight {
    /// The chain's number.
    pub chain: usize,
    /// How many proposals it had.
    pub proposals: usize,
}

/// For each row of `[n, proposals]` log weights, the index of one proposal, chosen with a probability in
/// proportion to its weight. The draws are keyed by `key` and the row's own number, counted from `first`.
pub(crate) fn choose(log_weights: Tensor<2>, first: usize, key: Key) -> Result<Vec<usize>, NoWeight> {
    let [n, proposals] = log_weights.dims();
    let values = into_f64(log_weights);
    (first..first + n)
        .zip(values.chunks_exact(proposals))
        .map(|(chain, log_weights)| {
            let (weights, total) = weights(log_weights).ok_or(NoWeight { chain, proposals })?;
            let mut u = [0.0f64];
            fill_uniform(key, chain as u64, 0, &mut u);
            Ok(place(&weights, total, u[0]))
        })
        .collect()
}

/// The weights relative to the largest, and their sum; `None` if all are zero or one is not finite.
pub(crate) fn weights(log_weights: &[f64]) -> Option<(Vec<f64>, f64)> {
    let max = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = log_weights.iter().map(|log_weight| (log_weight - max).exp()).collect();
    let total: f64 = weights.iter().sum();
    total.is_finite().then_some((weights, total))
}

/// The index at which the running sum of the weights passes `u` times their sum, `total`.
pub(crate) fn place(weights: &[f64], total: f64, u: f64) -> usize {
    let mut left = u * total;
    let chosen = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    // Rounding may leave a little at the end: it goes to the last index with a positive weight.
    let last = || weights.iter().rposition(|&weight| weight > 0.0).unwrap_or_default();
    chosen.unwrap_or_else(last)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn chosen(log_weights: &[[f32; 3]], key: u64) -> Result<Vec<usize>, NoWeight> {
        let rows: Vec<f32> = log_weights.concat();
        let rows = Tensor::<1>::from_floats(rows.as_slice(), &Device::flex());
        choose(rows.reshape([log_weights.len(), 3]), 0, Key::new(key))
    }

    #[test]
    fn places_are_chosen_as_often_as_their_weights_say() {
        // Three shares of 60 000, within 5 standard deviations: false alarms below 2e-6.
        let n = 60_000;
        let shift = -700.0f32; // the level of the weights does not matter
        let weights = [0.2f32, 0.5, 0.3];
        let places = chosen(&vec![weights.map(|w| w.ln() + shift); n], 1).unwrap();
        for (place, weight) in weights.into_iter().enumerate() {
            let (p, n) = (f64::from(weight), n as f64);
            let count = places.iter().filter(|&&chosen| chosen == place).count() as f64;
            assert!(((count - n * p) / (n * p * (1.0 - p)).sqrt()).abs() < 5.0, "{place}: {count}");
        }
    }

    #[test]
    fn what_has_no_weight_is_not_chosen_and_no_weight_at_all_is_an_error() {
        let none = f32::NEG_INFINITY;
        assert!(chosen(&vec![[none, -3.0, none]; 100], 2).unwrap().iter().all(|&place| place == 1));
        assert_eq!(chosen(&[[0.0; 3], [none; 3]], 2).unwrap_err(), NoWeight { chain: 1, proposals: 3 });
        assert!(chosen(&[[0.0, f32::NAN, 0.0]], 2).is_err());
    }
}
