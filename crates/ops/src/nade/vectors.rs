//! Whole vectors of hidden units.
//!
//! They are read whole, processed as values and written whole: a loop over two places in memory that might overlap
//! would not vectorise.

use std::hint::black_box;

use crate::real::{LANES, Real, sigmoid};

/// The most rows that are processed together.
pub(super) const ROWS: usize = LANES;

/// The vector at a place.
///
/// One place in each loop goes through a black box. Otherwise the compiler takes eight vectors at once, lane by
/// lane, and gathers and scatters adjacent values, at a tenth of the speed.
#[inline(always)]
pub(super) fn vector<T: Real>(place: &[T; LANES]) -> [T; LANES] {
    *black_box(place)
}

/// The rows whose unit is not zero, and their number.
///
/// They are a list, so that the loop over them has no unpredictable branch.
#[inline(always)]
pub(super) fn rows_that_are_on<T: Real>(x: &[T; ROWS], rows: usize) -> ([usize; ROWS], usize) {
    let (mut list, mut n) = ([0; ROWS], 0);
    for (r, x) in x.iter().enumerate().take(rows) {
        list[n] = r;
        n += usize::from(*x != T::ZERO);
    }
    (list, n)
}

/// `sums += x W` and `hidden = σ(sums)`.
#[inline(always)]
pub(super) fn advance<T: Real>(sums: &mut [T], hidden: &mut [T], x: T, encoder: &[T]) {
    let ((sums, _), (hidden, _)) = (sums.as_chunks_mut::<LANES>(), hidden.as_chunks_mut::<LANES>());
    for ((sums, hidden), encoder) in sums.iter_mut().zip(hidden).zip(encoder.as_chunks::<LANES>().0) {
        let (mut sum, w) = (vector(sums), *encoder);
        for i in 0..LANES {
            sum[i] = x.mul_add(w[i], sum[i]);
        }
        *sums = sum;
        for value in &mut sum {
            *value = sigmoid(*value);
        }
        *hidden = sum;
    }
}

/// `to += scale from`, in whole vectors.
#[inline(always)]
pub(super) fn add_scaled<T: Real>(to: &mut [T], scale: T, from: &[T]) {
    let ((to, _), (from, _)) = (to.as_chunks_mut::<LANES>(), from.as_chunks::<LANES>());
    for (to, from) in to.iter_mut().zip(from) {
        let (mut sum, from) = (vector(to), *from);
        for i in 0..LANES {
            sum[i] = scale.mul_add(from[i], sum[i]);
        }
        *to = sum;
    }
}

/// `hidden = σ(sums)`, in whole vectors.
#[inline(always)]
pub(super) fn squash<T: Real>(sums: &[T], hidden: &mut [T]) {
    let ((sums, _), (hidden, _)) = (sums.as_chunks::<LANES>(), hidden.as_chunks_mut::<LANES>());
    for (sums, hidden) in sums.iter().zip(hidden) {
        let mut values = vector(sums);
        for value in &mut values {
            *value = sigmoid(*value);
        }
        *hidden = values;
    }
}

/// `a · b` lane by lane, without the sum over lanes.
#[inline(always)]
pub(super) fn multiply<T: Real>(a: &[T], b: &[T]) -> [T; LANES] {
    let mut sums = [T::ZERO; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        let (a, b) = (vector(a), *b);
        for i in 0..LANES {
            sums[i] = a[i].mul_add(b[i], sums[i]);
        }
    }
    sums
}
