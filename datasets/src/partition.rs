//! Splits for data without official ones: parts of a permutation that never changes.

use helmholtz_noise::{Key, Stream};

/// The numbers `0..n` cut into parts of the given sizes, in ascending order in each part.
///
/// The parts are consecutive ranges of a permutation drawn with `key`.
///
/// # Panics
/// If the sizes do not sum to `n`.
pub(crate) fn partition<const N: usize>(n: usize, sizes: [usize; N], key: Key) -> [Vec<usize>; N] {
    assert_eq!(sizes.iter().sum::<usize>(), n, "the sizes of the parts must sum to {n} rows");
    let order = Stream::new(key).permutation(n);
    let mut start = 0;
    sizes.map(|size| {
        let mut part = order[start..start + size].to_vec();
        part.sort_unstable();
        start += size;
        part
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_part() {
        let parts = partition(10, [7, 2, 1], Key::new(3));
        assert_eq!(parts.each_ref().map(Vec::len), [7, 2, 1]);
        assert!(parts.iter().all(|part| part.is_sorted()));
        let mut all = parts.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..10));
    }
}
