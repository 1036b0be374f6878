//! Sums of rows of a real matrix by tables: the loops, for the vector instructions of the machine.
//!
//! A line is the content of one table entry: as many columns as fill a cache line, in one or a few vectors. For one
//! line of columns and as many groups as fit into the first-level cache, the tables are built once. Then every row of
//! bits adds its entries to its sum.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::packed::{GROUP, Packed, SIDE};
use crate::real::{LANES, Real};

/// Number of sums of a group.
const SUMS: usize = 1 << GROUP;
/// Number of bytes in a line.
const LINE: usize = 64;
/// Number of tables that are built at once: 25 KiB of a first-level cache of 32 KiB.
const AT_ONCE: usize = 25;

/// Number of columns in a line.
pub(super) const fn columns_of_line<T>() -> usize {
    LINE / size_of::<T>()
}

/// Which vector instructions to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// The widest that the processor has.
    Widest,
    /// AVX2 if the processor has it, otherwise scalar code.
    Avx2,
    /// Scalar code, without vector instructions.
    Plain,
}

impl Instructions {
    /// Runs `task` with these instructions.
    pub(super) fn run<W: WithSimd>(self, task: W) -> W::Output {
        match self {
            Instructions::Widest => Arch::new().dispatch(task),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 if let Some(avx2) = pulp::x86::V3::try_new() => Simd::vectorize(avx2, task),
            Instructions::Avx2 | Instructions::Plain => Simd::vectorize(pulp::Scalar::new(), task),
        }
    }
}

/// f32 or f64, with its vector type.
pub(crate) trait Lanes: Real {
    type Vector<S: Simd>: Copy + Send + Sync;

    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn times<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn times_plus<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;
}

macro_rules! lanes {
    ($T:ty, $Vector:ident, $splat:ident, $add:ident, $multiply:ident, $multiply_add:ident) => {
        impl Lanes for $T {
            type Vector<S: Simd> = S::$Vector;

            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: Self) -> S::$Vector {
                simd.$splat(value)
            }

            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: S::$Vector, b: S::$Vector) -> S::$Vector {
                simd.$add(a, b)
            }

            #[inline(always)]
            fn times<S: Simd>(simd: S, a: S::$Vector, b: S::$Vector) -> S::$Vector {
                simd.$multiply(a, b)
            }

            #[inline(always)]
            fn times_plus<S: Simd>(simd: S, a: S::$Vector, b: S::$Vector, c: S::$Vector) -> S::$Vector {
                simd.$multiply_add(a, b, c)
            }
        }
    };
}
lanes!(f32, f32s, splat_f32s, add_f32s, mul_f32s, mul_add_f32s);
lanes!(f64, f64s, splat_f64s, add_f64s, mul_f64s, mul_add_f64s);

/// The right side of a product.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a, T> {
    /// The values, row after row, with `m` values in each row.
    pub(crate) values: &'a [T],
    pub(crate) m: usize,
    /// The factor of each row; 1 if not set.
    pub(crate) weights: Option<&'a [T]>,
}

/// A matrix of `m` columns that several threads write; one thread writes each element.
#[derive(Clone, Copy)]
pub(super) struct Target<T> {
    start: *mut T,
    len: usize,
    m: usize,
}

// SAFETY: it hands out no references; callers of `at` ensure that no two threads write the same element.
unsafe impl<T: Send> Send for Target<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Target<T> {}

impl<T> Target<T> {
    /// A matrix that fills `space`.
    pub(super) fn new(space: &mut [std::mem::MaybeUninit<T>], m: usize) -> Self {
        Target { start: space.as_mut_ptr().cast(), len: space.len(), m }
    }

    /// A pointer to `width` elements of a row.
    #[inline(always)]
    fn at(self, row: usize, column: usize, width: usize) -> *mut T {
        let first = row * self.m + column;
        assert!(column + width <= self.m && first + width <= self.len, "the place is outside the product");
        // SAFETY: the place is within the space, as was just checked.
        unsafe { self.start.add(first) }
    }
}

/// Some rows and columns of a product.
pub(super) struct Part<'a, T> {
    pub(super) left: &'a Packed<'a, T>,
    pub(super) right: Right<'a, T>,
    /// The rows; the first is a multiple of [`SIDE`].
    pub(super) rows: Range<usize>,
    /// The columns; the first is a multiple of [`columns_of_line`].
    pub(super) columns: Range<usize>,
    /// The product; no other part writes these rows and columns of it.
    pub(super) product: Target<T>,
    /// Where the weighted column sums of the right side are written: one row; no other part writes these columns of it.
    pub(super) sums: Option<Target<T>>,
}

impl<T: Lanes> WithSimd for Part<'_, T> {
    /// Whether the right side is finite in these columns.
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        // The number of vectors in a line, and the number of rows whose sums fill the registers.
        match LINE / size_of::<T::Vector<S>>() {
            1 => self.by_lines::<S, 1, 8>(simd),
            2 => self.by_lines::<S, 2, 4>(simd),
            4 => self.by_lines::<S, 4, 2>(simd),
            8 => self.by_lines::<S, 8, 1>(simd),
            _ => self.by_lines::<S, 16, 1>(simd),
        }
    }
}

/// The sums of a group, for the columns of a line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Table<V, const P: usize>([[V; P]; SUMS]);

/// Sums over all terms.
struct Common<V, const P: usize> {
    /// The base that all rows of bits have in common.
    base: [V; P],
    /// The sum of zero times every value: NaN if a value is not finite.
    zeros: [V; P],
}

impl<T: Lanes> Part<'_, T> {
    #[inline(always)]
    fn by_lines<S: Simd, const P: usize, const R: usize>(&self, simd: S) -> bool {
        let groups = self.left.groups();
        let at_once = groups.div_ceil(groups.div_ceil(AT_ONCE));
        let mut tables = vec![Table([[T::splat(simd, T::ZERO); P]; SUMS]); at_once];
        let line = columns_of_line::<T>();
        let mut is_finite = true;
        for column in self.columns.clone().step_by(line) {
            is_finite &= if column + line <= self.columns.end {
                self.line::<S, P, R, true>(simd, &mut tables, [column, line])
            } else {
                self.line::<S, P, R, false>(simd, &mut tables, [column, self.columns.end - column])
            };
        }
        is_finite
    }

    /// Computes the columns of one line, which may be incomplete unless it is `FULL`.
    #[inline(always)]
    fn line<S: Simd, const P: usize, const R: usize, const FULL: bool>(
        &self,
        simd: S,
        tables: &mut [Table<T::Vector<S>, P>],
        [column, width]: [usize; 2],
    ) -> bool {
        let zeros = [T::splat(simd, T::ZERO); P];
        let (groups, at_once) = (self.left.groups(), tables.len());
        let mut common = Common { base: zeros, zeros };
        for first in (0..groups).step_by(at_once) {
            let tables = &mut tables[..at_once.min(groups - first)];
            self.build::<S, P, FULL>(simd, tables, first, [column, width], &mut common);
            let (begins, ends) = (first == 0, first + tables.len() == groups);
            for row in self.rows.clone().step_by(R) {
                let codes = self.left.codes(row / SIDE, first, tables.len());
                let live = R.min(self.rows.end - row);
                let place = |i: usize| self.product.at(row + i, column, width);
                let mut sums = [zeros; R];
                if !begins {
                    for (i, sum) in sums.iter_mut().enumerate().take(live) {
                        // SAFETY: the place belongs to this part, and the previous groups have written it.
                        *sum = unsafe { load::<T, S, P, FULL>(simd, place(i), width) };
                    }
                }
                sums = add::<T, S, P, R>(simd, tables, codes, row % SIDE, sums);
                for (i, sum) in sums.into_iter().enumerate().take(live) {
                    let sum = if ends { self.finish::<S, P>(simd, row + i, sum, common.base) } else { sum };
                    // SAFETY: the place belongs to this part.
                    unsafe { store::<T, S, P, FULL>(place(i), width, sum) };
                }
            }
        }
        if let Some(sums) = self.sums {
            // SAFETY: the place belongs to this part.
            unsafe { store::<T, S, P, FULL>(sums.at(0, column, width), width, common.base) };
        }
        let mut line = [T::ZERO; LANES];
        // SAFETY: there is room for the values of a line.
        unsafe { store::<T, S, P, false>(line.as_mut_ptr(), columns_of_line::<T>(), common.zeros) };
        line.iter().all(|value| *value == T::ZERO)
    }

    /// Converts the sum of a row of bits into the sum of the values that its bits stand for.
    #[inline(always)]
    fn finish<S: Simd, const P: usize>(
        &self,
        simd: S,
        row: usize,
        mut sum: [T::Vector<S>; P],
        base: [T::Vector<S>; P],
    ) -> [T::Vector<S>; P] {
        if let Some((low, step)) = self.left.levels_of_row(row) {
            for (sum, base) in sum.iter_mut().zip(base) {
                *sum = T::times(simd, *sum, T::splat(simd, step));
                *sum = T::times_plus(simd, base, T::splat(simd, low), *sum);
            }
        }
        sum
    }

    /// Builds the tables of the groups from `first` on, and adds their terms to `common`.
    #[inline(always)]
    fn build<S: Simd, const P: usize, const FULL: bool>(
        &self,
        simd: S,
        tables: &mut [Table<T::Vector<S>, P>],
        first: usize,
        [column, width]: [usize; 2],
        common: &mut Common<T::Vector<S>, P>,
    ) {
        let Right { values, m, weights } = self.right;
        let zero = T::splat(simd, T::ZERO);
        for (j, table) in tables.iter_mut().enumerate() {
            let mut rows = [[zero; P]; GROUP];
            for (i, row) in rows.iter_mut().enumerate() {
                let place = GROUP * (first + j) + i;
                let Some(term) = self.left.term(place) else { continue };
                let values = &values[term * m + column..][..width];
                // SAFETY: the slice has `width` values.
                *row = unsafe { load::<T, S, P, FULL>(simd, values.as_ptr(), width) };
                if let Some(weights) = weights {
                    scale::<T, S, P>(simd, row, weights[term]);
                }
                let (low, step) = self.left.levels_of_term(place);
                for (p, row) in row.iter().enumerate() {
                    common.base[p] = T::times_plus(simd, *row, T::splat(simd, low), common.base[p]);
                    common.zeros[p] = T::times_plus(simd, *row, zero, common.zeros[p]);
                }
                if step != T::ONE {
                    scale::<T, S, P>(simd, row, step);
                }
            }
            for p in 0..P {
                let [a, b, c, d] = rows.map(|row| row[p]);
                let low = [zero, a, b, T::plus(simd, a, b)];
                let high = [zero, c, d, T::plus(simd, c, d)];
                for (code, entry) in table.0.iter_mut().enumerate() {
                    entry[p] = T::plus(simd, low[code % 4], high[code / 4]);
                }
            }
        }
    }
}

#[inline(always)]
fn scale<T: Lanes, S: Simd, const P: usize>(simd: S, line: &mut [T::Vector<S>; P], by: T) {
    for vector in line {
        *vector = T::times(simd, *vector, T::splat(simd, by));
    }
}

/// Adds an entry of each table to the sums of `R` rows; the first of these rows has byte `side` of the codes.
#[inline(always)]
fn add<T: Lanes, S: Simd, const P: usize, const R: usize>(
    simd: S,
    tables: &[Table<T::Vector<S>, P>],
    codes: &[[u8; SIDE]],
    side: usize,
    mut sums: [[T::Vector<S>; P]; R],
) -> [[T::Vector<S>; P]; R] {
    for (table, codes) in tables.iter().zip(codes) {
        // All codes in one register: loading them one by one would compete with the loads of table entries.
        let codes = u64::from_le_bytes(*codes) >> (8 * side);
        for (i, sum) in sums.iter_mut().enumerate() {
            let code = usize::from((codes >> (8 * i)) as u8);
            // SAFETY: packing makes only codes below SUMS.
            let entry = unsafe { table.0.get_unchecked(code) };
            for (sum, vector) in sum.iter_mut().zip(entry) {
                *sum = T::plus(simd, *sum, *vector);
            }
        }
    }
    sums
}

/// Reads the values at `from`.
///
/// # Safety
/// `width` values must be readable there; with `FULL`, `width` must be that of a whole line.
#[inline(always)]
unsafe fn load<T: Lanes, S: Simd, const P: usize, const FULL: bool>(
    simd: S,
    from: *const T,
    width: usize,
) -> [T::Vector<S>; P] {
    if FULL {
        // SAFETY: the vectors of a line are its values in order, without gaps.
        return unsafe { from.cast::<[T::Vector<S>; P]>().read_unaligned() };
    }
    let mut line = [T::splat(simd, T::ZERO); P];
    // SAFETY: `width` is at most the size of a line, and a vector may hold any values.
    unsafe { std::ptr::copy_nonoverlapping(from, line.as_mut_ptr().cast(), width) };
    line
}

/// Writes the first `width` values of a line.
///
/// # Safety
/// `width` values must be writable there; with `FULL`, `width` must be that of a whole line.
#[inline(always)]
unsafe fn store<T: Lanes, S: Simd, const P: usize, const FULL: bool>(
    to: *mut T,
    width: usize,
    line: [T::Vector<S>; P],
) {
    if FULL {
        // SAFETY: the vectors of a line are its values in order, without gaps.
        unsafe { to.cast::<[T::Vector<S>; P]>().write_unaligned(line) };
    } else {
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(line.as_ptr().cast(), to, width) };
    }
}
