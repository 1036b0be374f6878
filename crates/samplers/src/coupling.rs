//! The maximal coupling of two categorical distributions.
//!
//! Among all joint distributions of (l, l̄) with the marginals w and v, it is the one under which l and l̄ are equal
//! most often: with probability `1 - γ = Σ_k min(w_k, v_k)`, where γ is the total variation distance between w and v.
//! With that probability both are one draw from `min(w, v) / (1 - γ)`. Otherwise l is drawn from `(w - v)₊ / γ` and
//! l̄, independently, from `(v - w)₊ / γ`.
//!
//! # Reference
//! Ruiz, Titsias, Cemgil, Doucet, "Unbiased gradient estimation for variational auto-encoders using coupled Markov
//! chains", UAI 2021, arXiv:2010.01845, algorithm 2.

use crate::choose::place;

/// A pair of indices, the first distributed as `w` and the second as `v`, from three uniforms in [0, 1).
///
/// `w` and `v` are normalised and have the same length. Equal distributions give equal indices.
pub fn couple(w: &[f64], v: &[f64], u: [f64; 3]) -> (usize, usize) {
    assert_eq!(w.len(), v.len(), "both distributions must have the same length");
    let pairs = || w.iter().zip(v);
    let shared: Vec<f64> = pairs().map(|(w, v)| w.min(*v)).collect();
    let only_w: Vec<f64> = pairs().map(|(w, v)| (w - v).max(0.0)).collect();
    let only_v: Vec<f64> = pairs().map(|(w, v)| (v - w).max(0.0)).collect();
    let [overlap, of_w, of_v] = [&shared, &only_w, &only_v].map(|part| part.iter().sum::<f64>());
    // If the distributions are equal up to rounding, one side may have nothing of its own to draw from.
    if u[0] < overlap || of_w == 0.0 || of_v == 0.0 {
        let both = place(&shared, overlap, u[1]);
        return (both, both);
    }
    (place(&only_w, of_w, u[1]), place(&only_v, of_v, u[2]))
}

#[cfg(test)]
mod tests {
    use helmholtz_core::Key;
    use helmholtz_noise::Stream;

    use super::*;

    #[test]
    fn places_have_their_margins_and_are_equal_as_often_as_any_coupling_can_make_them() {
        // Nine counts of 200 000 draws, each within 5 standard deviations: false alarms below 6e-6.
        let n = 200_000;
        let (w, v) = ([0.5, 0.2, 0.0, 0.3], [0.1, 0.4, 0.25, 0.25]);
        let mut stream = Stream::new(Key::new(7));
        let mut draw = || couple(&w, &v, [(); 3].map(|()| stream.uniform()));
        let pairs: Vec<(usize, usize)> = (0..n).map(|_| draw()).collect();
        let within = |what: &str, count: usize, p: f64| {
            let sd = (n as f64 * p * (1.0 - p)).sqrt();
            assert!((count as f64 - n as f64 * p).abs() <= 5.0 * sd, "{what}: {count} of {n} for {p}");
        };
        for (k, (w, v)) in w.into_iter().zip(v).enumerate() {
            within("first", pairs.iter().filter(|pair| pair.0 == k).count(), w);
            within("second", pairs.iter().filter(|pair| pair.1 == k).count(), v);
        }
        within("equal", pairs.iter().filter(|pair| pair.0 == pair.1).count(), 0.1 + 0.2 + 0.25);
    }

    #[test]
    fn equal_laws_give_equal_places_and_disjoint_laws_never_do() {
        let w = [0.1, 0.2, 0.3, 0.4];
        for u in [[0.0; 3], [0.5, 0.3, 0.9], [1.0 - f64::EPSILON; 3]] {
            let (a, b) = couple(&w, &w, u);
            assert_eq!(a, b);
            let (a, b) = couple(&[0.5, 0.5, 0.0, 0.0], &[0.0, 0.0, 0.5, 0.5], u);
            assert!(a < 2 && b >= 2, "{a} {b}");
        }
    }
}
