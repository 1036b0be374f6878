//! The order of a bias in 1/K.

/// A fitted order with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BiasOrder {
    /// The exponent r of `K^-r`.
    pub order: f64,
    /// The 95 % confidence interval.
    pub interval: [f64; 2],
}

/// The orders that are tried.
const RANGE: [f64; 2] = [-1.0, 5.0];
const STEPS: usize = 24_000;
/// The χ² that is exceeded with probability 5 %, for one degree of freedom.
const CHI_SQUARE_95: f64 = 3.841459;

impl BiasOrder {
    /// Fits `c K^-r (1 + e/K)` to biases measured at several K, each a `(K, bias, standard error)`, by weighted least
    /// squares; the interval is that of the profile likelihood.
    ///
    /// e is the second term of a bias of order r. Without it the fitted order would be off where K is small. It is
    /// limited to half of the first term at the smallest K: a larger term would itself be the order.
    ///
    /// Returns `None` for fewer than four K, which leave nothing to test the fit by; if the fit is rejected at 1 %; or
    /// if the interval is wider than one, which no longer tells orders apart.
    pub fn fit(measured: &[(usize, f64, f64)]) -> Option<BiasOrder> {
        if measured.len() < 4 || measured.iter().any(|(_, bias, se)| !(bias.is_finite() && *se > 0.0)) {
            return None;
        }
        let at = |i: usize| RANGE[0] + (RANGE[1] - RANGE[0]) * i as f64 / STEPS as f64;
        let misfits: Vec<f64> = (0..=STEPS).map(|i| misfit(measured, at(i))).collect();
        let best = (0..=STEPS).min_by(|&a, &b| misfits[a].total_cmp(&misfits[b]))?;
        let allowed = |i: &usize| misfits[*i] <= misfits[best] + CHI_SQUARE_95;
        let low = (0..=best).rev().take_while(allowed).last()?;
        let high = (best..=STEPS).take_while(allowed).last()?;
        let (order, interval) = (at(best), [at(low), at(high)]);
        let fits = misfits[best] <= chi_square_99(measured.len() - 3);
        let is_told = fits && low > 0 && high < STEPS && interval[1] - interval[0] <= 1.0;
        is_told.then_some(BiasOrder { order, interval })
    }

    /// Whether an order lies within the interval.
    pub fn holds(&self, order: f64) -> bool {
        self.interval[0] <= order && order <= self.interval[1]
    }
}

/// The χ² that is exceeded with probability 1 % (Wilson and Hilferty, 1931; within 2 % of tables).
fn chi_square_99(degrees: usize) -> f64 {
    let spread = 2.0 / (9.0 * degrees as f64);
    degrees as f64 * (1.0 - spread + 2.3263 * spread.sqrt()).powi(3)
}

/// The χ² of the best c and e for an order.
fn misfit(measured: &[(usize, f64, f64)], order: f64) -> f64 {
    let smallest = measured.iter().map(|(k, ..)| *k).min().unwrap_or(1) as f64;
    let most = 0.5 * smallest;
    // Normal equations of the regressors K^-r and K^-r / K, each divided by the standard error.
    let (mut aa, mut ab, mut bb, mut ay, mut by, mut yy) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for &(k, bias, se) in measured {
        let a = (k as f64).powf(-order) / se;
        let (b, y) = (a / k as f64, bias / se);
        (aa, ab, bb) = (aa + a * a, ab + a * b, bb + b * b);
        (ay, by, yy) = (ay + a * y, by + b * y, yy + y * y);
    }
    // With e fixed, one regressor a + e b is left.
    let with = |e: f64| yy - (ay + e * by).powi(2) / (aa + 2.0 * e * ab + e * e * bb);
    let determinant = aa * bb - ab * ab;
    let (c, d) = ((bb * ay - ab * by) / determinant, (aa * by - ab * ay) / determinant);
    let best = d / c;
    if best.abs() <= most { with(best) } else { with(-most).min(with(most)) }
}

#[cfg(test)]
mod tests {
    use helmholtz_core::Key;
    use helmholtz_noise::Stream;

    use super::*;

    #[test]
    fn the_order_of_a_known_bias_is_found() {
        let mut stream = Stream::new(Key::new(3));
        for order in [0.5, 1.0, 2.0] {
            let measured = [4, 8, 16, 32, 64].map(|k| {
                let size = (k as f64).powf(-order);
                let bias = 0.7 * size * (1.0 - 0.6 / k as f64);
                // The sum of twelve uniform numbers less six is close enough to normal here.
                let noise: f64 = (0..12).map(|_| stream.uniform_in(0.0, 1.0)).sum::<f64>() - 6.0;
                (k, bias + 0.002 * size * noise, 0.002 * size)
            });
            let found = BiasOrder::fit(&measured).unwrap();
            assert!(found.holds(order), "{order}: {found:?}");
            assert!(found.interval[1] - found.interval[0] < 0.2, "{order}: {found:?}");
        }
    }

    #[test]
    fn nothing_is_fitted_to_noise_or_to_little() {
        assert_eq!(BiasOrder::fit(&[(2, 0.5, 0.1), (4, 0.3, 0.1), (8, 0.1, 0.1)]), None);
        assert_eq!(BiasOrder::fit(&[2, 4, 8, 16].map(|k| (k, 0.0, 1.0))), None);
        assert_eq!(BiasOrder::fit(&[2, 4, 8, 16].map(|k| (k, f64::NAN, 1.0))), None);
        // A bias that goes up and down.
        assert_eq!(BiasOrder::fit(&[(2, 0.5, 1e-3), (4, 0.1, 1e-3), (8, 0.4, 1e-3), (16, 0.1, 1e-3)]), None);
    }
}
