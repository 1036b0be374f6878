//! The rectified normal law: that of a normal variable given that it is not negative.
//!
//! With mean μ and standard deviation s of the normal law, `z = μ / s`, the standard normal density φ and its
//! distribution function Φ:
//!
//! ```text
//! P = Φ(z)        E[v] = μ + s φ(z) / Φ(z)        E[v²] = s² + μ E[v]
//! ```
//!
//! Everything is in double precision; far in the tail (z < -30), where Φ(z) is nearly zero, series take its place.

use std::f64::consts::{SQRT_2, TAU};

use helmholtz_noise::Stream;

/// Where series begin.
const TAIL: f64 = -30.0;

/// `log Φ(z)`.
pub(crate) fn log_mass(z: f64) -> f64 {
    if z > TAIL {
        return (0.5 * libm::erfc(-z / SQRT_2)).ln();
    }
    let t = z.powi(-2);
    -0.5 * z * z - 0.5 * TAU.ln() - (-z).ln() + (-t * (1.0 - t * (3.0 - t * (15.0 - t * 105.0)))).ln_1p()
}

/// `E[v] / s`.
pub(crate) fn mean(z: f64) -> f64 {
    if z > TAIL {
        return z + (-0.5 * z * z - 0.5 * TAU.ln() - log_mass(z)).exp();
    }
    let t = z.powi(-2);
    -(1.0 - t * (2.0 - t * (10.0 - t * 74.0))) / z
}

/// A draw of `v / s`.
///
/// # Reference
/// Robert, "Simulation of truncated normal variables", Statistics and Computing 5, 1995.
pub(crate) fn draw(z: f64, stream: &mut Stream) -> f64 {
    if z >= 0.0 {
        loop {
            let radius = (-2.0 * (1.0 - stream.uniform()).ln()).sqrt();
            let v = z + radius * (TAU * stream.uniform()).cos();
            if v >= 0.0 {
                return v;
            }
        }
    }
    // Proposals from an exponential law beyond the bound, with the rate of the largest acceptance.
    let rate = 0.5 * ((z * z + 4.0).sqrt() - z);
    loop {
        let excess = -(1.0 - stream.uniform()).ln() / rate;
        let away = excess - z - rate;
        if stream.uniform().ln() <= -0.5 * away * away {
            return excess;
        }
    }
}

#[cfg(test)]
mod tests {
    use helmholtz_core::Key;

    use super::*;

    /// Moments of order 0, 1, 2 of `v / s`, without the constant, by the trapezoidal rule up to where the density is
    /// nothing.
    fn moments(z: f64) -> [f64; 3] {
        let (end, n) = (z.max(0.0) + 12.0 / (1.0 + (-z).max(0.0)).max(1.0) + 12.0, 2_000_000);
        let step = end / n as f64;
        let mut sums = [0.0; 3];
        for i in 0..=n {
            let v = step * f64::from(i);
            // Relative to the density at the bound, so that nothing underflows.
            let weight = (z * v - 0.5 * v * v).exp() * if i == 0 || i == n { 0.5 } else { 1.0 };
            sums.iter_mut().zip([1.0, v, v * v]).for_each(|(sum, power)| *sum += weight * power * step);
        }
        sums
    }

    #[test]
    fn mass_and_mean_are_those_of_quadrature_on_both_sides_of_the_tail() {
        for z in [-60.0, -30.1, -29.9, -8.0, -1.0, 0.0, 0.7, 5.0] {
            let [mass, first, second] = moments(z);
            let log_mass_found = log_mass(z) + 0.5 * z * z + 0.5 * TAU.ln();
            assert!((log_mass_found - mass.ln()).abs() < 1e-7, "{z}: {log_mass_found} for {}", mass.ln());
            let expected = first / mass;
            assert!((mean(z) / expected - 1.0).abs() < 1e-6, "{z}: {} for {expected}", mean(z));
            assert!(((1.0 + z * mean(z)) / (second / mass) - 1.0).abs() < 1e-3, "{z}");
        }
    }

    #[test]
    fn draws_have_the_mean_and_the_second_moment() {
        let n = 200_000;
        for (seed, z) in (1..).zip([-40.0, -3.0, -0.5, 0.0, 0.5, 3.0]) {
            let mut stream = Stream::new(Key::new(seed));
            let draws: Vec<f64> = (0..n).map(|_| draw(z, &mut stream)).collect();
            let [mass, first, second] = moments(z);
            let (first, second) = (first / mass, second / mass);
            // Within 5 standard errors: a false alarm in 2 million.
            let bound = 5.0 * ((second - first * first) / f64::from(n)).sqrt();
            let found = draws.iter().sum::<f64>() / f64::from(n);
            assert!((found - first).abs() < bound, "{z}: {found} for {first}");
            let squares = draws.iter().map(|v| v * v).sum::<f64>() / f64::from(n);
            assert!((squares / second - 1.0).abs() < 0.03, "{z}: {squares} for {second}");
            assert!(draws.iter().all(|v| *v >= 0.0));
        }
    }
}
