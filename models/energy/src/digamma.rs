//! The derivative of log Γ.

/// `ψ(x) = d/dx log Γ(x)` for x > 0, with a relative error of about 1e-14.
///
/// The recurrence `ψ(x) = ψ(x + 1) - 1 / x` leads to arguments of at least 10, where the asymptotic series
///
/// ```text
/// ψ(x) ~ log x - 1 / 2x - Σ_k B_2k / (2k x^2k)
/// ```
///
/// is cut off after k = 5: the next term is below 3e-14.
///
/// # Reference
/// Abramowitz, Stegun, "Handbook of mathematical functions", 1964, 6.3.5 and 6.3.18.
pub(crate) fn digamma(x: f64) -> f64 {
    if x < 10.0 {
        return digamma(x + 1.0) - x.recip();
    }
    // B_2k / 2k for k = 5, 4, 3, 2, 1.
    let series = [1.0 / 132.0, -1.0 / 240.0, 1.0 / 252.0, -1.0 / 120.0, 1.0 / 12.0];
    let inverse_square = (x * x).recip();
    let sum = series.into_iter().fold(0.0, |sum, term| sum * inverse_square + term) * inverse_square;
    x.ln() - 0.5 / x - sum
}

#[cfg(test)]
mod tests {
    use std::f64::consts::LN_2;

    use super::*;

    /// Euler's constant.
    const GAMMA: f64 = 0.577_215_664_901_532_9;

    #[test]
    fn known_values_are_found() {
        // ψ(1) = -γ, ψ(1/2) = -γ - 2 log 2, ψ(2) = 1 - γ, ψ(4) = 11/6 - γ, ψ(10) = 7129/2520 - γ.
        for (x, expected) in [
            (1.0, -GAMMA),
            (0.5, -GAMMA - 2.0 * LN_2),
            (2.0, 1.0 - GAMMA),
            (4.0, 11.0 / 6.0 - GAMMA),
            (10.0, 7129.0 / 2520.0 - GAMMA),
        ] {
            assert!((digamma(x) - expected).abs() < 1e-13, "{x}: {} for {expected}", digamma(x));
        }
    }

    #[test]
    fn it_is_the_slope_of_log_gamma() {
        for x in [0.02, 0.3, 1.7, 9.99, 10.01, 300.0] {
            let h = 1e-4 * x;
            let slope = (libm::lgamma(x + h) - libm::lgamma(x - h)) / (2.0 * h);
            assert!(
                (digamma(x) - slope).abs() < 1e-6 * slope.abs().max(1.0),
                "{x}: {} for {slope}",
                digamma(x)
            );
        }
    }
}
