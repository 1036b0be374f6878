//! A row of Bernoulli units in host memory, one vector of units at a time: see [`crate::bernoulli`].
//!
//! Instead of many logarithms of `1 + z`, one logarithm is taken of their product, before it can overflow.

use helmholtz_noise::simd::vectorised;

use crate::real::{LANES, Real, sigmoid};

/// The nats of one lane. The sum `Σ log(1 + z)` is kept as a product, so that one logarithm serves many factors.
#[derive(Clone, Copy)]
struct Nats<T> {
    /// The nats summed so far.
    sum: T,
    /// `Π (1 + z) - 1` of the factors whose logarithm is not in the sum yet. Without the one, it keeps the digits of
    /// small z.
    product: T,
}

/// Number of factors, each at most two, after which the logarithm is taken: their product is far from overflow.
const FACTORS: usize = 32;

impl<T: Real> Nats<T> {
    const NONE: Self = Nats { sum: T::ZERO, product: T::ZERO };

    /// Adds `log(1 + z) + rest`.
    #[inline(always)]
    fn add(&mut self, z: T, rest: T) {
        self.product = self.product.mul_add(z, self.product + z);
        self.sum += rest;
    }

    /// Adds the logarithm of the factors so far to the sum.
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

/// Scores one row: replaces the logits by the errors and returns the log-probability.
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
            // The last vector is filled up with certain units, which cost zero nats.
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
    // 0 * inf is NaN, so a term whose factor is zero is left out.
    let on = if x > T::ZERO { x * (-logit).max0() } else { T::ZERO };
    let off = if x < T::ONE { (T::ONE - x) * logit.max0() } else { T::ZERO };
    nats.add(z, on + off);
    *l = x - mean;
}

/// The log-probability of [`score_row`].
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

/// Draws one row: replaces the uniforms by the sample and the logits by the errors, and returns the log-probability.
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

/// The sample and the log-probability of [`draw_row`].
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

/// Replaces uniforms by units: a unit is on if its uniform is below `σ(logit + bias)`, or below one half if marked.
#[inline(always)]
pub(crate) fn decide<T: Real>(units: &mut [T; LANES], logits: &[T; LANES], bias: T, marked: &[bool; LANES]) {
    for i in 0..LANES {
        let mean = sigmoid(logits[i] + bias);
        let threshold = if marked[i] { T::ONE / (T::ONE + T::ONE) } else { mean };
        units[i] = if units[i] < threshold { T::ONE } else { T::ZERO };
    }
}

/// The functions of a logit that follow from one exponential.
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

/// The sum of the lanes by repeated halving: the order is the same on every machine.
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
