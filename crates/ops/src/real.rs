//! The two element types, with the elementary functions that vectorise.
//!
//! The functions are polynomials after an exact range reduction, without branches, tables or
//! saturating casts, so that a loop over them vectorises.

use burn::tensor::Element;
use helmholtz_noise::Uniform;

/// Number of values that are processed together: one AVX-512 register of f32.
pub(crate) const LANES: usize = 16;

/// f32 or f64.
pub(crate) trait Real:
    Element
    + bytemuck::Pod
    + Uniform
    + Copy
    + PartialOrd
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
{
    const ZERO: Self;
    const ONE: Self;
    const INFINITY: Self;
    /// Half the distance from one to the next larger number: the relative rounding of a sum.
    const ROUNDING: Self;

    fn abs(self) -> Self;
    fn max0(self) -> Self;
    /// `exp(-a)` for `a >= 0`, to about one unit in the last place; zero if it would be subnormal.
    fn exp_neg(a: Self) -> Self;
    /// `log(1 + z)` for `z` in [-1/2, 1], to about one unit in the last place.
    fn log1p_unit(z: Self) -> Self;
    /// `log(1 + q)` for `q` in [0, 2⁶⁴], to about one unit in the last place.
    fn log1p(q: Self) -> Self;
    /// `log(u)` for a normal number `u` in (0, 1], to about one unit in the last place.
    fn log_unit(u: Self) -> Self;
    /// `cos(2 π u)` and `sin(2 π u)` for `u` in [0, 1), to about two units in the last place of one.
    fn cos_sin_turn(u: Self) -> (Self, Self);
    fn sqrt(self) -> Self;
    fn mul_add(self, a: Self, b: Self) -> Self;
}

/// `σ(a)`, computed with the exponential that does not overflow.
#[inline(always)]
pub(crate) fn sigmoid<T: Real>(a: T) -> T {
    let z = T::exp_neg(a.abs());
    let upper = T::ONE / (T::ONE + z);
    if a >= T::ZERO { upper } else { z * upper }
}

macro_rules! real {
    ($T:ty, $Bits:ty, $mantissa:expr, $bias:expr, $magic:expr, $largest:expr, $ln2_high:expr, $ln2_low:expr,
     $exp_terms:expr, $log_terms:expr) => {
        impl Real for $T {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const INFINITY: Self = <$T>::INFINITY;
            const ROUNDING: Self = <$T>::EPSILON / 2.0;

            #[inline(always)]
            fn abs(self) -> Self {
                <$T>::abs(self)
            }

            #[inline(always)]
            fn max0(self) -> Self {
                if self > 0.0 { self } else { 0.0 }
            }

            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                <$T>::mul_add(self, a, b)
            }

            #[inline(always)]
            fn exp_neg(a: Self) -> Self {
                // -a = n ln 2 + r with |r| <= ln 2 / 2. Adding the magic number leaves n, rounded,
                // in the low bits of the mantissa, which an `as` cast would fetch by a slow
                // saturating conversion.
                let within = if a < $largest { a } else { $largest };
                let shifted = (-within).mul_add(std::f64::consts::LOG2_E as $T, $magic);
                let n = shifted - $magic;
                let r = n.mul_add(-$ln2_high, -within);
                let r = n.mul_add(-$ln2_low, r);
                // exp(r) = Σ rⁱ / i!, by Horner; the first term left out is below one ulp.
                const TERMS: [$T; $exp_terms + 1] = {
                    let (mut terms, mut factorial, mut i) = ([1.0; $exp_terms + 1], 1.0, 1);
                    while i <= $exp_terms {
                        factorial *= i as $T;
                        terms[i] = 1.0 / factorial;
                        i += 1;
                    }
                    terms
                };
                let mut sum = TERMS[$exp_terms];
                let mut i = $exp_terms;
                while i > 0 {
                    i -= 1;
                    sum = Real::mul_add(sum, r, TERMS[i]);
                }
                let exponent = shifted.to_bits().wrapping_sub(<$T>::to_bits($magic)).wrapping_add($bias);
                let scaled = sum * <$T>::from_bits(exponent << $mantissa);
                if a > $largest { 0.0 } else { scaled + (a - a) }
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                <$T>::sqrt(self)
            }

            #[inline(always)]
            fn log_unit(u: Self) -> Self {
                // u = m 2^-e with m in [1, 2): log u = log(1 + (m - 1)) - e ln 2. The magic number converts the
                // exponent, as in `exp_neg`.
                let bits = u.to_bits();
                let m = <$T>::from_bits((bits & ((1 << $mantissa) - 1)) | <$T>::to_bits(1.0));
                let below = $bias - (bits >> $mantissa);
                let e = <$T>::from_bits(<$T>::to_bits($magic) + below) - $magic;
                // Near one the two terms would cancel.
                let (e, z) = if u >= 0.5 { (0.0, u - 1.0) } else { (e, m - 1.0) };
                let log_m = <$T as Real>::log1p_unit(z);
                Real::mul_add(e, -$ln2_high, Real::mul_add(e, -$ln2_low, log_m))
            }

            #[inline(always)]
            fn log1p(q: Self) -> Self {
                // Beyond one, 1 + q = m 2^e with m in [1, 2): log(1 + q) = e ln 2 + log(1 + (m - 1)).
                let bits = (1.0 + q).to_bits();
                let m = <$T>::from_bits((bits & ((1 << $mantissa) - 1)) | <$T>::to_bits(1.0));
                let above = (bits >> $mantissa).wrapping_sub($bias);
                let e = <$T>::from_bits(<$T>::to_bits($magic).wrapping_add(above)) - $magic;
                let (e, z) = if q <= 1.0 { (0.0, q) } else { (e, m - 1.0) };
                let log_m = <$T as Real>::log1p_unit(z);
                // NaN stays NaN.
                Real::mul_add(e, $ln2_high, Real::mul_add(e, $ln2_low, log_m)) + (q - q)
            }

            #[inline(always)]
            fn cos_sin_turn(u: Self) -> (Self, Self) {
                // u = n / 4 + r with |r| <= 1/8: the series at 2 π r, rotated by n quarter turns.
                let shifted = Real::mul_add(u, 4.0, $magic);
                let n = shifted - $magic;
                let r = Real::mul_add(n, -0.25, u) * (2.0 * std::f64::consts::PI) as $T;
                let r2 = r * r;
                let (mut cos, mut sin) = (1.0, 1.0);
                // The first terms left out are below one unit in the last place of one: r¹⁰/10! in f32, r¹⁸/18! in f64.
                let mut i = $exp_terms * 5 / 8;
                while i > 0 {
                    cos = Real::mul_add(cos, r2 * (-1.0 / ((2 * i - 1) * (2 * i)) as $T), 1.0);
                    sin = Real::mul_add(sin, r2 * (-1.0 / ((2 * i) * (2 * i + 1)) as $T), 1.0);
                    i -= 1;
                }
                let sin = sin * r;
                let quarters = shifted.to_bits().wrapping_sub(<$T>::to_bits($magic)) & 3;
                let (a, b) = if quarters & 1 == 0 { (cos, sin) } else { (-sin, cos) };
                if quarters & 2 == 0 { (a, b) } else { (-a, -b) }
            }

            #[inline(always)]
            fn log1p_unit(z: Self) -> Self {
                // log(1 + z) = 2 artanh(s) = 2 s Σ s²ⁱ / (2 i + 1) with s = z / (2 + z), |s| <= 1/3.
                let s = z / (2.0 + z);
                let s2 = s * s;
                let mut sum = 1.0 / (2 * $log_terms + 1) as $T;
                let mut i = $log_terms;
                while i > 0 {
                    i -= 1;
                    sum = Real::mul_add(sum, s2, 1.0 / (2 * i + 1) as $T);
                }
                2.0 * s * sum
            }
        }
    };
}

// ln 2 is split so that n times the high part is exact. 87 and 708 are just above the arguments
// at which exp(-a) becomes subnormal.
real!(f32, u32, 23, 127, 12_582_912.0, 87.0, 0.693_359_4, -2.121_944_4e-4, 7, 8);
real!(
    f64,
    u64,
    52,
    1023,
    6_755_399_441_055_744.0,
    708.0,
    0.693_147_180_369_123_8,
    1.908_214_929_270_587_7e-10,
    13,
    17
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_neg_is_exact_to_rounding() {
        for i in 0..200_000 {
            let a = f64::from(i) * 87.0 / 200_000.0;
            let (single, double) = (f32::exp_neg(a as f32), f64::exp_neg(8.0 * a));
            assert!(
                (f64::from(single) / (-f64::from(a as f32)).exp() - 1.0).abs() < 2.5e-7,
                "f32 at {a}: {single}"
            );
            assert!((double / (-8.0 * a).exp() - 1.0).abs() < 1e-15, "f64 at {a}: {double}");
        }
        assert_eq!((f32::exp_neg(f32::INFINITY), f32::exp_neg(0.0)), (0.0, 1.0));
        assert_eq!((f64::exp_neg(f64::INFINITY), f64::exp_neg(0.0)), (0.0, 1.0));
        assert!(f32::exp_neg(f32::NAN).is_nan() && f64::exp_neg(f64::NAN).is_nan());
    }

    #[test]
    fn log1p_is_exact_to_rounding() {
        for i in 0..=100_000 {
            let z = f64::from(i) / 100_000.0;
            let (single, exact) = (f64::from(f32::log1p_unit(z as f32)), f64::from(z as f32).ln_1p());
            assert!((single - exact).abs() <= 3e-7 * exact, "f32 at {z}: {single}");
            assert!((f64::log1p_unit(z) - z.ln_1p()).abs() <= 1e-15 * z.ln_1p(), "f64 at {z}");
        }
    }

    #[test]
    fn log1p_of_large_numbers_is_exact_to_rounding() {
        for i in 0..=64_000 {
            let q = 2f64.powf(f64::from(i) / 500.0 - 64.0);
            let (single, exact) = (f64::from(f32::log1p(q as f32)), f64::from(q as f32).ln_1p());
            assert!((single - exact).abs() <= 3e-7 * exact, "f32 at {q}: {single} for {exact}");
            assert!((f64::log1p(q) - q.ln_1p()).abs() <= 1e-15 * q.ln_1p(), "f64 at {q}");
        }
        assert_eq!((f32::log1p(0.0), f64::log1p(0.0)), (0.0, 0.0));
        assert!(f32::log1p(f32::NAN).is_nan() && f64::log1p(f64::NAN).is_nan());
    }

    #[test]
    fn the_logarithm_of_a_uniform_is_exact_to_rounding() {
        for i in 1..=100_000 {
            for u in [
                f64::from(i) / 100_000.0,
                2f64.powi(-24) * f64::from(i),
                1.0 - 2f64.powi(-24) * f64::from(i - 1),
            ] {
                let (single, exact) = (f64::from(f32::log_unit(u as f32)), f64::from(u as f32).ln());
                assert!((single - exact).abs() <= 3e-7 * exact.abs(), "f32 at {u}: {single} for {exact}");
                assert!((f64::log_unit(u) - u.ln()).abs() <= 1e-15 * u.ln().abs(), "f64 at {u}");
            }
        }
    }

    #[test]
    fn sine_and_cosine_of_a_turn_are_exact_to_rounding() {
        for i in 0..100_000 {
            let u = f64::from(i) / 100_000.0;
            let angle = |u: f64| 2.0 * std::f64::consts::PI * u;
            let ((c, s), (cos, sin)) = (f32::cos_sin_turn(u as f32), f64::cos_sin_turn(u));
            let exact = angle(f64::from(u as f32));
            assert!(
                (f64::from(c) - exact.cos()).abs() < 2.5e-7 && (f64::from(s) - exact.sin()).abs() < 2.5e-7,
                "f32 at {u}"
            );
            assert!(
                (cos - angle(u).cos()).abs() < 1e-15 && (sin - angle(u).sin()).abs() < 1e-15,
                "f64 at {u}"
            );
        }
    }
}
