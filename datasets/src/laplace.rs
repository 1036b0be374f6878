//! `laplace/2d`: two independent Laplace variables with variance 1, mixed by a rotation.
//!
//! ```text
//! (x, y) = R (s, t),   p(s) = exp(-√2 |s|) / √2,   R the rotation by 30 degrees
//! ```
//!
//! The mixture is white: its covariance is the identity, whatever the rotation. Its differential entropy is
//! `2 (1 + log √2) = 2.6931` nats. It is the toy of machines with Gaussian visible units.
//!
//! # Reference
//! Melchior, Wang, Wiskott, "Gaussian-binary restricted Boltzmann machines for modeling natural image statistics", PLoS
//! ONE 12, 2017. The rotation is our own.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_6};

use helmholtz_noise::Stream;

use crate::entry::{Entry, Generated, Recipe};
use crate::{Binarization, ImageShape, Split, generate};

/// The mixture.
pub const LAPLACE_2D: Entry = Entry {
    id: "laplace/2d",
    version: 1,
    summary: "two independent Laplace variables of variance 1, rotated by 30 degrees; real numbers; entropy 2.6931 nats",
    source: "drawn here, after the toy data of Gaussian machines (Melchior et al. 2017)",
    licence: "not needed",
    generated: true,
    shape: ImageShape { height: 1, width: 2 },
    split_sizes: SIZES,
    binarization: Binarization::AsStored,
    files: &[],
    sha256: Some("b69e49ac7ccab26e45202b3e2aef44b4b137d4206f9da13fa8e8cf3739546d3c"),
    labels_sha256: None,
    recipe: Recipe::Generate(|_| {
        let seed = u64::from_be_bytes(*b"lapl/2d\0");
        let mut sizes = SIZES.into_iter();
        let splits = generate::values(seed, SIZES, 2, draw)
            .map(|values| Split::numbers(sizes.next().unwrap_or_default(), 2, values));
        Generated { splits, law: None }
    }),
};

const SIZES: [usize; 3] = [50_000, 5_000, 50_000];

/// Values are rounded to multiples of 2⁻²⁰, so that they do not depend on how a platform rounds a logarithm.
fn draw(stream: &mut Stream, row: &mut [f32]) {
    let mut source = || {
        let size = -(1.0 - stream.uniform()).ln() * FRAC_1_SQRT_2;
        if stream.uniform() < 0.5 { size } else { -size }
    };
    let (s, t) = (source(), source());
    let (sin, cos) = FRAC_PI_6.sin_cos();
    let step = f64::from(1 << 20);
    // Adding 0 makes -0 a 0.
    let rounded = |value: f64| ((value * step).round() / step + 0.0) as f32;
    row.copy_from_slice(&[rounded(cos * s - sin * t), rounded(sin * s + cos * t)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_white_and_have_the_tails_of_the_sources() {
        let set = LAPLACE_2D.load(&crate::places::Places::default()).unwrap();
        let n = set.train.rows();
        let (sin, cos) = FRAC_PI_6.sin_cos();
        let mut sums = [0.0f64; 5];
        for row in 0..n {
            let row = set.train.row(row);
            let (x, y) = (f64::from(row[0]), f64::from(row[1]));
            // Back to the sources.
            let (s, t) = (cos * x + sin * y, cos * y - sin * x);
            sums.iter_mut()
                .zip([s, s * s, t * t, s * t, s.abs() + t.abs()])
                .for_each(|(sum, value)| *sum += value / n as f64);
        }
        // Within 5 standard errors: the variances are 1, 5, 5, 1 and 2 (1 - 1/2), over 50 000 rows.
        for ((found, expected), variance) in
            sums.into_iter().zip([0.0, 1.0, 1.0, 0.0, 2.0f64.sqrt()]).zip([1.0, 5.0, 5.0, 1.0, 1.0])
        {
            let bound: f64 = 5.0 * f64::sqrt(variance / n as f64);
            assert!((found - expected).abs() < bound, "{found} for {expected}");
        }
    }
}
