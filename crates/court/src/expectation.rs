//! Exact expectations over K independent samples from a distribution on S states.
//!
//! An estimator with K samples has `S^K` outcomes, but its expectation is a few integrals of one variable. With
//! weights `w_s`, masses `m_s` and the Laplace transform `φ(u) = Σ_s m_s exp(-u w_s)` of the weight of one sample,
//!
//! ```text
//! E[w_s / (w_s + W)]  = w_s ∫₀^∞ exp(-u w_s) φ(u)^(K-1) du
//! E[log(w_s + W)]     = ∫₀^∞ (exp(-u) - exp(-u w_s) φ(u)^(K-1)) / u du
//! ```
//!
//! where W is the sum of the weights of K - 1 further samples. The first follows from `1/y = ∫ exp(-u y) du`, the
//! second from Frullani's integral for the logarithm. In `t = log u` both integrands are analytic. They fall off
//! exponentially at one end and double exponentially at the other, so the error of the trapezoidal rule is below
//! rounding.

/// A distribution on states, each with a weight. A logarithm of minus infinity stands for zero.
#[derive(Clone, Debug)]
pub struct WeightedStates {
    /// Logarithms of the masses, which sum to one.
    pub log_mass: Vec<f64>,
    /// Logarithms of the weights.
    pub log_weight: Vec<f64>,
}

/// For each state: `K m_s E[w_s / (w_s + W)]`, the expected weight that it gets, and `E[log(1/K (w_s + W))]`.
#[derive(Clone, Debug, PartialEq)]
pub struct OfSamples {
    /// Expected normalised weight of each state over all K samples; they sum to one.
    pub share: Vec<f64>,
    /// Expected bound `log 1/K Σ w` where one of the samples is the state.
    pub bound: Vec<f64>,
}

/// Distance between the points of the trapezoidal rule in log u.
const STEP: f64 = 0.2;
/// The integrands have fallen to `exp(-NEGLIGIBLE)` at the ends.
const NEGLIGIBLE: f64 = 42.0;
/// The upper end is chosen for weights down to `exp(-SMALLEST)` of the largest. States of smaller weight still count,
/// except in the outcomes where all K samples are such states.
const SMALLEST: f64 = 650.0;
/// States of less mass add less than rounding to any sum, however small their weight is.
const NEGLIGIBLE_MASS: f64 = 1e-20;

impl WeightedStates {
    /// The expectations for `k` samples.
    ///
    /// # Panics
    /// If `k` is zero or no state has a finite weight.
    pub fn of_samples(&self, k: usize) -> OfSamples {
        assert!(k > 0, "an expectation needs at least one sample");
        let largest = self.log_weight.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!(largest.is_finite(), "no state has a finite weight");
        let log_mass = self.log_mass.iter().copied();
        if k == 1 {
            let share = log_mass.map(f64::exp).collect();
            return OfSamples { share, bound: self.log_weight.clone() };
        }
        let weights: Vec<f64> = self.log_weight.iter().map(|log_w| (log_w - largest).exp()).collect();
        let masses: Vec<f64> = log_mass.map(f64::exp).collect();
        let smallest = self
            .log_weight
            .iter()
            .zip(&masses)
            .filter(|(_, mass)| **mass > NEGLIGIBLE_MASS)
            .map(|(log_w, _)| largest - log_w)
            .fold(0.0, f64::max);
        let (from, to) = (-NEGLIGIBLE, smallest.min(SMALLEST) + NEGLIGIBLE.ln() + 1.0);
        let points = ((to - from) / STEP).ceil() as usize;
        let mut shares = vec![0.0; weights.len()];
        let mut logs = vec![0.0; weights.len()];
        let mut transform = vec![0.0; weights.len()];
        for i in 0..=points {
            let u = (from + STEP * i as f64).exp();
            let mut phi = 0.0;
            for ((transform, w), mass) in transform.iter_mut().zip(&weights).zip(&masses) {
                *transform = (-u * w).exp();
                phi += mass * *transform;
            }
            // Near φ = 1 the logarithm is more accurate from φ - 1.
            let less_one =
                || weights.iter().zip(&masses).map(|(w, mass)| mass * (-u * w).exp_m1()).sum::<f64>();
            let log_phi = if phi < 0.5 { phi.ln() } else { less_one().ln_1p() };
            let others = ((k - 1) as f64 * log_phi).exp();
            let unit = (-u).exp();
            for ((share, log), transform) in shares.iter_mut().zip(&mut logs).zip(&transform) {
                let both = transform * others;
                *share += both * u;
                *log += unit - both;
            }
        }
        let scale = |(share, (w, mass)): (f64, (&f64, &f64))| k as f64 * mass * w * share * STEP;
        let share = shares.into_iter().zip(weights.iter().zip(&masses)).map(scale).collect();
        let bound = logs.into_iter().map(|log| log * STEP + largest - (k as f64).ln()).collect();
        OfSamples { share, bound }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> WeightedStates {
        let masses: [f64; 4] = [0.5, 0.3, 0.15, 0.05];
        let weights: [f64; 4] = [0.2, 3.0, 1e-7, 40.0];
        let logs = |values: [f64; 4]| values.map(f64::ln).to_vec();
        WeightedStates { log_mass: logs(masses), log_weight: logs(weights) }
    }

    /// By summing over all `S^K` outcomes.
    fn by_enumeration(states: &WeightedStates, k: usize) -> OfSamples {
        let n = states.log_mass.len();
        let (mut share, mut bound, mut mass_of) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        for outcome in 0..n.pow(k as u32) {
            let drawn: Vec<usize> = (0..k).map(|i| outcome / n.pow(i as u32) % n).collect();
            let mass = drawn.iter().map(|&s| states.log_mass[s]).sum::<f64>().exp();
            let total: f64 = drawn.iter().map(|&s| states.log_weight[s].exp()).sum();
            for &s in &drawn {
                share[s] += mass * states.log_weight[s].exp() / total;
            }
            bound[drawn[0]] += mass * (total / k as f64).ln();
            mass_of[drawn[0]] += mass;
        }
        bound.iter_mut().zip(mass_of).for_each(|(bound, mass)| *bound /= mass);
        OfSamples { share, bound }
    }

    #[test]
    fn integrals_are_the_sums_over_all_outcomes() {
        for k in 1..=6 {
            let (found, expected) = (states().of_samples(k), by_enumeration(&states(), k));
            let pairs =
                found.share.iter().chain(&found.bound).zip(expected.share.iter().chain(&expected.bound));
            for (found, expected) in pairs {
                assert!(
                    (found - expected).abs() < 1e-12 * expected.abs().max(1.0),
                    "{k}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn shares_sum_to_one_at_any_number_of_samples_and_any_scale_of_weights() {
        for k in [1, 2, 10, 1000, 1_000_000] {
            for shift in [-2000.0, 0.0, 700.0] {
                let mut states = states();
                states.log_weight.iter_mut().for_each(|w| *w += shift);
                let sum: f64 = states.of_samples(k).share.iter().sum();
                assert!((sum - 1.0).abs() < 1e-11, "{k}, {shift}: {sum}");
            }
        }
    }

    #[test]
    fn with_many_samples_states_get_their_share_of_the_mean_weight() {
        let found = states().of_samples(10_000_000);
        let weight = |s: usize| (states().log_mass[s] + states().log_weight[s]).exp();
        let mean: f64 = (0..4).map(weight).sum();
        for s in 0..4 {
            assert!((found.share[s] - weight(s) / mean).abs() < 1e-6);
            assert!((found.bound[s] - mean.ln()).abs() < 1e-4);
        }
    }
}
