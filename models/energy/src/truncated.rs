//! The normal law between two bounds, `f(x) = n x - ½ p x²` on `[low, high]`, in double precision.

use std::f64::consts::TAU;

use helmholtz_noise::Stream;

use crate::rectified;

/// The bounds of x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Interval {
    pub(crate) fn width(self) -> f64 {
        self.high - self.low
    }

    /// `log ∫ exp(n x - ½ p x²) dx` between the bounds, with `p = 0` for the uniform law of `n = 0`.
    pub(crate) fn log_mass(self, linear: f64, precision: f64) -> f64 {
        if precision == 0.0 {
            return self.width().ln();
        }
        let ([a, b], mean) = (self.standard(linear, precision), linear / precision);
        // The mass of the normal law between the bounds, from the tail in which it is the smaller difference.
        let (a, b) = if a + b > 0.0 { (-b, -a) } else { (a, b) };
        let (from, to) = (rectified::log_mass(a), rectified::log_mass(b));
        let log_share = to + (-(from - to).exp()).ln_1p();
        0.5 * mean * linear + 0.5 * (TAU / precision).ln() + log_share
    }

    /// The bounds in standard deviations from the mean.
    fn standard(self, linear: f64, precision: f64) -> [f64; 2] {
        let root = precision.sqrt();
        [self.low, self.high].map(|bound| bound * root - linear / root)
    }

    /// `E[x]` and `E[x²]`.
    ///
    /// Integrating the derivatives of `exp(f)` and of `x exp(f)` over the interval gives `p E[x] = n + q(low) - q(high)` and
    /// `p E[x²] = 1 + n E[x] + low q(low) - high q(high)`, with the density q at the bounds.
    pub(crate) fn moments(self, linear: f64, precision: f64) -> [f64; 2] {
        let Interval { low, high } = self;
        let largest = low.abs().max(high.abs());
        // Below this the law is uniform up to rounding, and the formulas divide rounding by the precision.
        if precision * largest * largest < 1e-12 && linear.abs() * largest < 1e-12 {
            return [0.5 * (low + high), (low * low + low * high + high * high) / 3.0];
        }
        let log_mass = self.log_mass(linear, precision);
        let density = |x: f64| (linear * x - 0.5 * precision * x * x - log_mass).exp();
        let (at_low, at_high) = (density(low), density(high));
        let mean = (linear + at_low - at_high) / precision;
        let square = (1.0 + linear * mean + low * at_low - high * at_high) / precision;
        [mean, square]
    }

    /// A draw of x.
    ///
    /// # Reference
    /// Robert, "Simulation of truncated normal variables", Statistics and Computing 5, 1995.
    pub(crate) fn draw(self, linear: f64, precision: f64, stream: &mut Stream) -> f64 {
        if precision == 0.0 {
            return stream.uniform_in(self.low, self.high);
        }
        let [a, b] = self.standard(linear, precision);
        if !(a.is_finite() && b.is_finite()) {
            // Nothing would be accepted. A number that is not finite stops training.
            return f64::NAN;
        }
        // With both bounds above the mean, or as a mirror image of it.
        let z = if b < 0.0 { -standard(-b, -a, stream) } else { standard(a, b, stream) };
        let root = precision.sqrt();
        (z / root + linear / precision).clamp(self.low, self.high)
    }
}

/// A standard normal number between a and b, with `b >= 0`.
fn standard(a: f64, b: f64, stream: &mut Stream) -> f64 {
    // The density is largest at the bound or at 0, whichever is between the bounds.
    let top = a.max(0.0);
    let rate = 0.5 * (top + (top * top + 4.0).sqrt());
    // Uniform proposals are kept more often than others if the density hardly changes between the bounds.
    if (b - top) * rate < 2.0 && (top > 0.0 || b - a < 2.5) {
        loop {
            let z = stream.uniform_in(a, b);
            if stream.uniform().ln() <= 0.5 * (top * top - z * z) {
                return z;
            }
        }
    }
    loop {
        let z = if top > 0.0 {
            // From an exponential law beyond the bound.
            let z = a - (1.0 - stream.uniform()).ln() / rate;
            if stream.uniform().ln() > -0.5 * (z - rate).powi(2) {
                continue;
            }
            z
        } else {
            let radius = (-2.0 * (1.0 - stream.uniform()).ln()).sqrt();
            radius * (TAU * stream.uniform()).cos()
        };
        if (a..=b).contains(&z) {
            return z;
        }
    }
}

#[cfg(test)]
mod tests {
    use helmholtz_core::Key;

    use super::*;

    const LAWS: [(f64, f64); 6] =
        [(0.0, 0.0), (0.3, 1.0), (-40.0, 2.0), (90.0, 4.0), (2.0, 50.0), (-9.0, 30.0)];
    const BOUNDS: Interval = Interval { low: -0.5, high: 1.5 };

    /// Moments of order 0, 1 and 2 by Simpson's rule.
    fn moments(linear: f64, precision: f64) -> [f64; 3] {
        let n = 20_000;
        let step = BOUNDS.width() / f64::from(n);
        let mut sums = [0.0; 3];
        for i in 0..=n {
            let x = BOUNDS.low + step * f64::from(i);
            let simpson = if i == 0 || i == n {
                1.0
            } else if i % 2 == 1 {
                4.0
            } else {
                2.0
            };
            let weight = (linear * x - 0.5 * precision * x * x).exp() * simpson * step / 3.0;
            sums.iter_mut().zip([1.0, x, x * x]).for_each(|(sum, power)| *sum += weight * power);
        }
        sums
    }

    #[test]
    fn the_mass_is_that_of_quadrature() {
        for (linear, precision) in LAWS {
            let [mass, ..] = moments(linear, precision);
            let found = BOUNDS.log_mass(linear, precision);
            assert!((found - mass.ln()).abs() < 1e-9, "{linear}, {precision}: {found} for {}", mass.ln());
        }
    }

    #[test]
    fn moments_are_those_of_quadrature() {
        for (linear, precision) in LAWS {
            let [mass, first, second] = moments(linear, precision);
            for (found, expected) in BOUNDS.moments(linear, precision).into_iter().zip([first, second]) {
                let expected = expected / mass;
                assert!((found - expected).abs() < 1e-7, "{linear}, {precision}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn parameters_that_are_not_finite_give_numbers_that_are_not() {
        let mut stream = Stream::new(Key::new(0));
        for (linear, precision) in
            [(f64::NAN, 1.0), (0.0, f64::NAN), (f64::INFINITY, 1.0), (1.0, f64::INFINITY)]
        {
            assert!(BOUNDS.draw(linear, precision, &mut stream).is_nan());
        }
    }

    #[test]
    fn draws_lie_between_the_bounds_and_have_the_mean() {
        let n = 100_000;
        for (seed, (linear, precision)) in (1..).zip(LAWS) {
            let mut stream = Stream::new(Key::new(seed));
            let draws: Vec<f64> = (0..n).map(|_| BOUNDS.draw(linear, precision, &mut stream)).collect();
            assert!(draws.iter().all(|x| (BOUNDS.low..=BOUNDS.high).contains(x)));
            let [mass, first, _] = moments(linear, precision);
            let found = draws.iter().sum::<f64>() / f64::from(n);
            let variance = draws.iter().map(|x| (x - found).powi(2)).sum::<f64>() / f64::from(n);
            // Within 5 standard errors: a false alarm in 2 million.
            let bound = 5.0 * (variance / f64::from(n)).sqrt();
            assert!(
                (found - first / mass).abs() < bound,
                "{linear}, {precision}: {found} for {}",
                first / mass
            );
        }
    }
}
