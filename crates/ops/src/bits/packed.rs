//! A matrix of bits, with four bits in each code.

use helmholtz_noise::simd::vectorised;
use rayon::prelude::*;

use crate::real::Real;

/// Number of terms of a sum that share a table.
pub(super) const GROUP: usize = 4;
/// Number of rows whose codes are adjacent in memory.
pub(super) const SIDE: usize = 8;

/// The left side of a product, before it is known whether it is a matrix of bits.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a, T> {
    /// The values, row after row.
    pub(crate) values: &'a [T],
    /// Number of rows of the product, and number of terms in each of its sums.
    pub(crate) dims: [usize; 2],
    /// Whether the matrix is stored transposed: term after term.
    pub(crate) turned: bool,
    /// The terms to include; all terms if not set.
    pub(crate) terms: Option<&'a [usize]>,
}

impl<T> Left<'_, T> {
    /// The term at a place in the sums, if there is one.
    #[inline(always)]
    fn term(&self, place: usize) -> Option<usize> {
        match self.terms {
            Some(terms) => terms.get(place).copied(),
            None => (place < self.dims[1]).then_some(place),
        }
    }
}

/// A matrix with at most two values in each column, as codes of four bits.
pub(crate) struct Packed<'a, T> {
    /// The codes, `[rows / SIDE, groups, SIDE]`, each below sixteen.
    codes: Vec<u8>,
    groups: usize,
    /// The values that the bits of each column stand for, if they are not zero and one.
    levels: Option<Levels<T>>,
    left: Left<'a, T>,
}

/// The values that bits stand for: `low + step · bit`, for each column of the values as stored.
struct Levels<T> {
    low: Vec<T>,
    high: Vec<T>,
    /// Whether these are zeros and ones.
    are_plain: bool,
}

impl<T: Real> Levels<T> {
    /// The levels of rows of `d` values, if each column seems to have at most two values. Packing makes the full check.
    fn of(values: &[T], d: usize) -> Option<Self> {
        let first = &values[..d];
        if first.iter().all(|value| *value == T::ZERO || *value == T::ONE) {
            return Some(Levels { low: vec![T::ZERO; d], high: vec![T::ONE; d], are_plain: true });
        }
        // The first rows usually show whether a matrix has real-valued columns.
        let mut rows = values.chunks_exact(d);
        let (a, b, c) = (rows.next()?, rows.next()?, rows.next()?);
        if (0..d).any(|j| a[j] != b[j] && b[j] != c[j] && a[j] != c[j]) {
            return None;
        }
        let (mut low, mut high) = (first.to_vec(), first.to_vec());
        vectorised(
            #[inline(always)]
            || {
                for row in values.chunks_exact(d) {
                    for ((low, high), value) in low.iter_mut().zip(&mut high).zip(row) {
                        *low = if *value < *low { *value } else { *low };
                        *high = if *value > *high { *value } else { *high };
                    }
                }
            },
        );
        let finite = |value: &T| value.abs() < T::INFINITY;
        (low.iter().all(finite) && high.iter().all(finite)).then_some(Levels { low, high, are_plain: false })
    }
}

impl<'a, T: Real> Packed<'a, T> {
    /// The codes of a matrix, if it is a matrix of bits.
    pub(crate) fn of(left: Left<'a, T>) -> Option<Self> {
        let Left { values, dims: [rows, all_terms], turned, terms } = left;
        debug_assert!(turned || terms.is_none(), "terms can be selected only if the left side is turned");
        let groups = terms.map_or(all_terms, <[usize]>::len).div_ceil(GROUP);
        let levels = Levels::of(values, if turned { rows } else { all_terms })?;
        let mut codes = vec![0u8; rows.next_multiple_of(SIDE) * groups];
        let of_block = groups * SIDE;
        // A small matrix packs so fast that it is not worth waking other threads.
        let blocks =
            (codes.len() / of_block).div_ceil(rayon::current_num_threads()).max((1 << 15) / of_block + 1);
        let is_of_bits = codes.par_chunks_mut(blocks * of_block).enumerate().all(|(i, codes)| {
            let first = i * blocks * SIDE;
            vectorised(
                #[inline(always)]
                || {
                    if turned {
                        pack_turned(left, &levels, first, groups, codes)
                    } else {
                        pack(left, &levels, first, groups, codes)
                    }
                },
            )
        });
        is_of_bits.then(|| Packed { codes, groups, levels: (!levels.are_plain).then_some(levels), left })
    }

    /// Number of rows of the product, and number of included terms in each of its sums.
    pub(super) fn dims(&self) -> [usize; 2] {
        let [n, k] = self.left.dims;
        [n, self.left.terms.map_or(k, <[usize]>::len)]
    }

    pub(super) fn groups(&self) -> usize {
        self.groups
    }

    /// The codes of a block of rows, for `n` groups.
    #[inline(always)]
    pub(super) fn codes(&self, block: usize, first: usize, n: usize) -> &[[u8; SIDE]] {
        self.codes[(block * self.groups + first) * SIDE..][..n * SIDE].as_chunks().0
    }

    /// The row of the right side that belongs to the bits at `place`, if there is one.
    #[inline(always)]
    pub(super) fn term(&self, place: usize) -> Option<usize> {
        self.left.term(place)
    }

    /// The low value of the bits at `place`, and the step to the high value, if the levels belong to the terms.
    ///
    /// The low values add a base that all rows of the product have in common. If the levels belong to the rows instead,
    /// that base is the sum of all terms.
    #[inline(always)]
    pub(super) fn levels_of_term(&self, place: usize) -> (T, T) {
        match &self.levels {
            Some(levels) if !self.left.turned => (levels.low[place], levels.high[place] - levels.low[place]),
            None if !self.left.turned => (T::ZERO, T::ONE),
            _ => (T::ONE, T::ONE),
        }
    }

    /// The factors of a row: the factor of the base that all rows have in common, and the factor of the row's own sum.
    #[inline(always)]
    pub(super) fn levels_of_row(&self, row: usize) -> Option<(T, T)> {
        let Levels { low, high, .. } = self.levels.as_ref()?;
        Some(if self.left.turned { (low[row], high[row] - low[row]) } else { (T::ONE, T::ONE) })
    }
}

/// Writes the codes of the rows from `first` on; returns false if a value is not one of its column's two values.
#[inline(always)]
fn pack<T: Real>(
    left: Left<'_, T>,
    levels: &Levels<T>,
    first: usize,
    groups: usize,
    codes: &mut [u8],
) -> bool {
    let [n, k] = left.dims;
    let mut bits = vec![0u8; groups * GROUP];
    let rows = left.values[first * k..].chunks_exact(k);
    for (i, row) in rows.enumerate().take((codes.len() / groups).min(n - first)) {
        let mut wrong = 0;
        for (((bit, value), low), high) in bits.iter_mut().zip(row).zip(&levels.low).zip(&levels.high) {
            *bit = u8::from(*value != *low);
            wrong |= *bit & u8::from(*value != *high);
        }
        if wrong != 0 {
            return false;
        }
        let codes = codes[i / SIDE * groups * SIDE..].as_chunks_mut::<SIDE>().0;
        for (codes, bits) in codes.iter_mut().zip(bits.as_chunks::<GROUP>().0) {
            // The multiplication collects the four low bits in the highest byte, without carries.
            codes[i % SIDE] = (u32::from_le_bytes(*bits).wrapping_mul(0x0102_0408) >> 24) as u8;
        }
    }
    true
}

/// The same for values that are stored term after term.
#[inline(always)]
fn pack_turned<T: Real>(
    left: Left<'_, T>,
    levels: &Levels<T>,
    first: usize,
    groups: usize,
    codes: &mut [u8],
) -> bool {
    let Left { values, dims: [n, _], .. } = left;
    let rows = (codes.len() / groups).min(n - first);
    let mut of_group = vec![0u8; codes.len() / groups];
    for group in 0..groups {
        of_group.fill(0);
        let mut wrong = 0;
        for i in 0..GROUP {
            let place = GROUP * group + i;
            let Some(term) = left.term(place) else { break };
            let of_term = &values[term * n + first..][..rows];
            let levels = levels.low[first..].iter().zip(&levels.high[first..]);
            for ((code, value), (low, high)) in of_group.iter_mut().zip(of_term).zip(levels) {
                let bit = u8::from(*value != *low);
                wrong |= bit & u8::from(*value != *high);
                *code |= bit << i;
            }
        }
        if wrong != 0 {
            return false;
        }
        for (block, of_group) in of_group.as_chunks::<SIDE>().0.iter().enumerate() {
            codes[(block * groups + group) * SIDE..][..SIDE].copy_from_slice(of_group);
        }
    }
    true
}
