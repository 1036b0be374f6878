//! A row of Bernoulli units in host memory, a vector of them at a time: see [`crate::bernoulli`].
//!
//! The logarithms of a row are one of the product of `1 + z`, taken before it can overflow.

use helmholtz_noise::simd::vectorised;

use crate::real::{LANES, Real, sigmoid};

/// The nats of one lane, of which `Σ log(1 + z)` is kept as a product: one logarithm serves many factors.
#[derive(Clone, Copy)]
struct Nats<T> {
    /// What was paid so far.
    sum: T,
    /// `Π (1 + z) - 1` of the factors whose logarithm was not paid yet. Less one, it keeps the digits of small z.
    product: T,
}

/// Factors, each of at most two, after which the logarithm is taken: their product is far from the largest number.
const FACTORS: usize = 32;

impl<T: Real> Nats<T> {
    const NONE: Self = Nats { sum: T::ZERO, product: T::ZERO };

    /// Adds `log(1 + z) + rest`.
    #[inline(always)]
    fn add(&mut self, z: T, rest: T) {
        self.product = self.product.mul_add(z, self.product + z);
        self.sum += rest;
    }

    /// Takes the logarithm of the factors so far.
    #[inline(always)]
    fn pay(&mut self) {
        self.sum += T::log1p(self.product);
        self.product = T::ZERO;
    }

    /// The sum over all lanes.
    #[inline(always)]
    fn total(mut lanes: [Self; LANES]) -> T {
        lanes.iter_mut().for_each(Self::pay);
        sum_lanes(lanes.map(|lane| lane.sum))
    }
}

/// A vector that begins with the values of `rest`.
#[inline(always)]
fn filled<T: Real>(rest: &[T], filler: T) -> [T; LANES] {
    let mut vector = [filler; LANES];
    vector[..rest.len()].copy_from_slice(rest);
    vector
}

/// One row: logits in, errors out, the log-probability returned.
pub(crate) fn score_row<T: Real>(x: &[T], logits: &mut [T], bias: &[T]) -> T {
    vectorised(
        #[inline(always)]
        || {
            let mut nats = [Nats::NONE; LANES];
            let ((x, x_rest), (b, b_rest)) = (x.as_chunks::<LANES>(), bias.as_chunks::<LANES>());
            let (l, l_rest) = logits.as_chunks_mut::<LANES>();
            for ((x, l), b) in x.chunks(FACTORS).zip(l.chunks_mut(FACTORS)).zip(b.chunks(FACTORS)) {
                for ((x, l), b) in x.iter().zip(l).zip(b) {
                    for i in 0..LANES {
                        score_unit(x[i], &mut l[i], b[i], &mut nats[i]);
                    }
                }
                nats.iter_mut().for_each(Nats::pay);
            }
            // A vector filled up with certain units, which cost nothing.
            if !l_rest.is_empty() {
                let (x, b) = (filled(x_rest, T::ONE), filled(b_rest, T::ZERO));
                let mut l = filled(l_rest, T::INFINITY);
                for i in 0..LANES {
                    score_unit(x[i], &mut l[i], b[i], &mut nats[i]);
                }
                l_rest.copy_from_slice(&l[..l_rest.len()]);
            }
            -Nats::total(nats)
        },
    )
}

#[inline(always)]
fn score_unit<T: Real>(x: T, l: &mut T, bias: T, nats: &mut Nats<T>) {
    let Cell { z, mean, logit } = Cell::at(*l + bias);
    // 0 * inf is NaN, so a factor that is zero takes its term away.
    let on = if x > T::ZERO { x * (-logit).max0() } else { T::ZERO };
    let off = if x < T::ONE { (T::ONE - x) * logit.max0() } else { T::ZERO };
    nats.add(z, on + off);
    *l = x - mean;
}

/// The log-probability that [`score_row`] gives.
pub(crate) fn log_prob_row<T: Real>(x: &[T], logits: &[T], bias: &[T]) -> T {
    vectorised(
        #[inline(always)]
        || {
            let mut nats = [Nats::NONE; LANES];
            let ((x, x_rest), (b, b_rest)) = (x.as_chunks::<LANES>(), bias.as_chunks::<LANES>());
            let (l, l_rest) = logits.as_chunks::<LANES>();
            for ((x, l), b) in x.chunks(FACTORS).zip(l.chunks(FACTORS)).zip(b.chunks(FACTORS)) {
                for ((x, l), b) in x.iter().zip(l).zip(b) {
                    for i in 0..LANES {
                        score_unit(x[i], &mut { l[i] }, b[i], &mut nats[i]);
                    }
                }
                nats.iter_mut().for_each(Nats::pay);
            }
            if !l_rest.is_empty() {
                let (x, b) = (filled(x_rest, T::ONE), filled(b_rest, T::ZERO));
                let l = filled(l_rest, T::INFINITY);
                for i in 0..LANES {
                    score_unit(x[i], &mut { l[i] }, b[i], &mut nats[i]);
                }
            }
            -Nats::total(nats)
        },
    )
}

/// One row: uniforms in and the sample out, logits in and errors out, the log-probability returned.
pub(crate) fn draw_row<T: Real, const DEFENCE: bool>(x: &mut [T], logits: &mut [T], bias: &[T]) -> T {
    vectorised(
        #[inline(always)]
        || {
            let mut nats = [Nats::NONE; LANES];
            let (x, x_rest) = x.as_chunks_mut::<LANES>();
            let (l, l_rest) = logits.as_chunks_mut::<LANES>();
            let (b, b_rest) = bias.as_chunks::<LANES>();
            for ((x, l), b) in x.chunks_mut(FACTORS).zip(l.chunks_mut(FACTORS)).zip(b.chunks(FACTORS)) {
                for ((x, l), b) in x.iter_mut().zip(l).zip(b) {
                    for i in 0..LANES {
                        draw_unit::<T, DEFENCE>(&mut x[i], &mut l[i], b[i], &mut nats[i]);
                    }
                }
                nats.iter_mut().for_each(Nats::pay);
            }
            if !l_rest.is_empty() {
                let b = filled(b_rest, T::ZERO);
                let (mut x, mut l) = (filled(x_rest, T::ZERO), filled(l_rest, T::INFINITY));
                for i in 0..LANES {
                    draw_unit::<T, DEFENCE>(&mut x[i], &mut l[i], b[i], &mut nats[i]);
                }
                x_rest.copy_from_slice(&x[..x_rest.len()]);
                l_rest.copy_from_slice(&l[..l_rest.len()]);
            }
            -Nats::total(nats)
        },
    )
}

/// The sample and the log-probability that [`draw_row`] gives.
pub(crate) fn sample_row<T: Real>(x: &mut [T], logits: &[T], bias: &[T]) -> T {
    vectorised(
        #[inline(always)]
        || {
            let mut nats = [Nats::NONE; LANES];
            let (x, x_rest) = x.as_chunks_mut::<LANES>();
            let ((l, l_rest), (b, b_rest)) = (logits.as_chunks::<LANES>(), bias.as_chunks::<LANES>());
            for ((x, l), b) in x.chunks_mut(FACTORS).zip(l.chunks(FACTORS)).zip(b.chunks(FACTORS)) {
                for ((x, l), b) in x.iter_mut().zip(l).zip(b) {
                    for i in 0..LANES {
                        draw_unit::<T, false>(&mut x[i], &mut { l[i] }, b[i], &mut nats[i]);
                    }
                }
                nats.iter_mut().for_each(Nats::pay);
            }
            if !l_rest.is_empty() {
                let (l, b) = (filled(l_rest, T::INFINITY), filled(b_rest, T::ZERO));
                let mut x = filled(x_rest, T::ZERO);
                for i in 0..LANES {
                    draw_unit::<T, false>(&mut x[i], &mut { l[i] }, b[i], &mut nats[i]);
                }
                x_rest.copy_from_slice(&x[..x_rest.len()]);
            }
            -Nats::total(nats)
        },
    )
}

#[inline(always)]
fn draw_unit<T: Real, const DEFENCE: bool>(x: &mut T, l: &mut T, bias: T, nats: &mut Nats<T>) {
    let Cell { z, mean, logit } = Cell::at(*l + bias);
    // u < σ(l), without the division.
    let on = if DEFENCE {
        *x < T::ONE / (T::ONE + T::ONE)
    } else {
        x.mul_add(z, *x) < if logit >= T::ZERO { T::ONE } else { z }
    };
    nats.add(z, if on { (-logit).max0() } else { logit.max0() });
    *x = if on { T::ONE } else { T::ZERO };
    *l = *x - mean;
}

/// Uniforms in, units out: on where the uniform is below `σ(logit + bias)`, or below one half where marked.
#[inline(always)]
pub(crate) fn decide<T: Real>(units: &mut [T; LANES], logits: &[T; LANES], bias: T, marked: &[bool; LANES]) {
    for i in 0..LANES {
        let mean = sigmoid(logits[i] + bias);
        let threshold = if marked[i] { T::ONE / (T::ONE + T::ONE) } else { mean };
        units[i] = if units[i] < threshold { T::ONE } else { T::ZERO };
    }
}

/// What one exponential tells about a logit.
struct Cell<T> {
    logit: T,
    /// `exp(-|l|)`
    z: T,
    /// `σ(l)`
    mean: T,
}

impl<T: Real> Cell<T> {
    #[inline(always)]
    fn at(logit: T) -> Self {
        let z = T::exp_neg(logit.abs());
        let upper = T::ONE / (T::ONE + z);
        Cell { logit, z, mean: if logit >= T::ZERO { upper } else { z * upper } }
    }
}

/// The sum of the lanes, halving: the same order on every machine.
#[inline(always)]
pub(crate) fn sum_lanes<T: Real>(mut lanes: [T; LANES]) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}
