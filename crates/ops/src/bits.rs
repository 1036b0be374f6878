//! Products of a matrix of bits with a matrix of real numbers.
//!
//! Four rows of the right side have sixteen possible sums. With a table of these sums in the first-level cache, an
//! element of the product is a sum of one table entry for every four bits: one addition does the work of four
//! multiply-adds. A table costs eleven additions for every four rows, and many rows of bits share it. `docs/explanation/bits.md`
//! says when this is faster, and by how much.
//!
//! A matrix whose columns have two values each is also a matrix of bits: `low + step · bit`. Its product is the
//! product of the bits with rows that are multiplied by the steps, plus one row that all rows of bits have in common.
//! Binary data minus its mean is such a matrix.
//!
//! A sum is taken in the order of its groups of four, for all instructions and any number of threads. It is exact to
//! rounding, but its order differs from that of other products.

mod packed;
mod tables;

use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::host::{self, for_real};
use packed::SIDE;
use tables::{Part, Target, columns_of_line};

pub(crate) use packed::{Left, Packed};
pub use tables::Instructions;
pub(crate) use tables::{Lanes, Right};

/// The most rows in one part of a product: the sums of more rows would not stay in the second-level cache.
const MOST_ROWS: usize = 1024;
/// The cost of the tables of a part, in rows of bits.
const TABLES: usize = 40;
/// With fewer multiplications than this, threads cost more than they gain.
const SEQUENTIAL: usize = 1 << 22;

/// Whether tables are worth building for a product of `[n, k]` by `[k, m]`, if the left side is a matrix of bits.
///
/// The rows of bits share the tables, and the columns share the packing. A line that is not full costs as much as a
/// full one. The bounds were measured: see `docs/explanation/bits.md`.
pub(crate) fn is_worth_it([n, k]: [usize; 2], m: usize) -> bool {
    n >= 64 && k >= 16 && m >= 48 && n * k * m >= 1 << 19
}

/// The product, row after row, `[n, m]`; `None` unless the right side is finite.
pub(crate) fn multiply<T: Lanes>(
    left: &Packed<'_, T>,
    right: Right<'_, T>,
    instructions: Instructions,
) -> Option<Vec<T>> {
    Some(multiply_and_sum(left, right, false, instructions)?.0)
}

/// [`multiply`] and, if `is_summed`, the column sums of the right side, each row multiplied by its weight: `[m]`.
pub(crate) fn multiply_and_sum<T: Lanes>(
    left: &Packed<'_, T>,
    right: Right<'_, T>,
    is_summed: bool,
    instructions: Instructions,
) -> Option<(Vec<T>, Vec<T>)> {
    let ([n, _], m) = (left.dims(), right.m);
    let n_sums = if is_summed { m } else { 0 };
    let (mut product, mut sums) = (Vec::with_capacity(n * m), Vec::with_capacity(n_sums));
    let target = Target::new(&mut product.spare_capacity_mut()[..n * m], m);
    let sums_target = Target::new(&mut sums.spare_capacity_mut()[..n_sums], m);
    let line = columns_of_line::<T>();
    let lines = m.div_ceil(line);
    let threads = if n * left.groups() * m < SEQUENTIAL / 4 { 1 } else { rayon::current_num_threads() };
    let [rows, lines] = part_of([n, lines], threads);
    let [bands, strips] = [n.div_ceil(rows), m.div_ceil(lines * line)];
    let part = |i: usize| {
        let (row, column) = (i / strips * rows, i % strips * lines * line);
        instructions.run(Part {
            left,
            right,
            rows: row..n.min(row + rows),
            columns: column..m.min(column + lines * line),
            product: target,
            sums: (is_summed && row == 0).then_some(sums_target),
        })
    };
    let parts = (0..bands * strips).into_par_iter().with_max_len(1);
    let is_finite = parts.map(part).all(|is_finite| is_finite);
    // A sum leaves out the rows whose bit is zero, but the product of zero and infinity would be NaN.
    if !is_finite {
        return None;
    }
    // SAFETY: the parts cover all elements, and each of them was written.
    unsafe {
        product.set_len(n * m);
        sums.set_len(n_sums);
    }
    Some((product, sums))
}

/// Number of rows and lines in each part of a product, so that no thread waits for long. The rows are a multiple of
/// [`SIDE`].
///
/// Tables are built again for each band of rows. Adjacent lines go to one thread as far as possible: two threads that
/// write into the same cache line wait for each other.
fn part_of([n, lines]: [usize; 2], threads: usize) -> [usize; 2] {
    let rows = |bands: usize| n.div_ceil(bands).next_multiple_of(SIDE);
    let fewest = n.div_ceil(MOST_ROWS);
    let cuts = (fewest..=fewest + threads)
        .flat_map(|bands| (1..=threads.min(lines)).map(move |strips| [rows(bands), lines.div_ceil(strips)]));
    let cost = |[rows, of_part]: &[usize; 2]| {
        let parts = n.div_ceil(*rows) * lines.div_ceil(*of_part);
        parts.div_ceil(threads) * (rows + TABLES) * of_part
    };
    cuts.min_by_key(cost).expect("there is at least one way to cut")
}

/// `a b`, or `aᵀ b` if `turned`, by tables and with the given instructions; `None` unless `a` is a matrix of bits and
/// `b` is finite.
///
/// [`crate::product`] chooses between this and other methods.
///
/// # Shapes
/// - `a`: `[n, k]`, or `[k, n]` if `turned`; `b`: `[k, m]`; output `[n, m]`
///
/// # Panics
/// If the shapes or element types do not agree.
pub fn product(a: Tensor<2>, turned: bool, b: Tensor<2>, instructions: Instructions) -> Option<Tensor<2>> {
    let (device, dtype) = (a.device(), host::common_dtype(a.dtype(), b.dtype()));
    let ([rows, columns], [k, m]) = (a.dims(), b.dims());
    let [n, k_a] = if turned { [columns, rows] } else { [rows, columns] };
    assert_eq!(k_a, k, "matrices of shapes [{n}, {k_a}] and [{k}, {m}] cannot be multiplied");
    if n * k * m == 0 {
        return None;
    }
    for_real!(dtype, T => {
        let (a, b) = (host::read::<T, 2>(a), host::read::<T, 2>(b));
        let left = Packed::of(Left { values: &a[..], dims: [n, k], turned, terms: None })?;
        let right = Right { values: &b[..], m, weights: None };
        multiply(&left, right, instructions).map(|product| host::tensor(product, [n, m], &device))
    })
}

#[cfg(test)]
mod tests;
