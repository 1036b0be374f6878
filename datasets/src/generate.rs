//! Rows drawn in parallel, each from its own key.

use helmholtz_noise::{Key, Role, Stream};
use rayon::prelude::*;

use crate::Split;

/// Three splits of the given sizes, in which `draw` fills every row.
///
/// Row `i` of split `s` reads the stream of `Key::new(seed).child(Role::Data).child(s).child(i)`:
/// the values depend only on the seed, for any number of threads.
pub fn splits(
    seed: u64,
    sizes: [usize; 3],
    width: usize,
    draw: impl Fn(&mut Stream, &mut [u8]) + Sync,
) -> [Split; 3] {
    let values = values(seed, sizes, width, draw);
    let mut sizes = sizes.into_iter();
    values.map(|values| Split::new(sizes.next().unwrap_or_default(), width, values))
}

/// The values of the rows of [`splits`], of any type.
pub(crate) fn values<T: Clone + Default + Send>(
    seed: u64,
    sizes: [usize; 3],
    width: usize,
    draw: impl Fn(&mut Stream, &mut [T]) + Sync,
) -> [Vec<T>; 3] {
    let key = Key::new(seed).child(Role::Data);
    [0, 1, 2].map(|split| {
        let (key, rows) = (key.child(split), sizes[split]);
        let mut values = vec![T::default(); rows * width];
        values
            .par_chunks_exact_mut(width)
            .enumerate()
            .with_min_len(64)
            .for_each(|(i, row)| draw(&mut Stream::new(key.child(i)), row));
        values
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_differ_and_do_not_depend_on_how_many_there_are() {
        let coin = |stream: &mut Stream, row: &mut [u8]| row.fill_with(|| stream.below(2) as u8);
        let [few, _, other] = splits(1, [10, 5, 10], 64, coin);
        let [many, ..] = splits(1, [1000, 5, 10], 64, coin);
        assert_eq!(few.bits(), &many.bits()[..640]);
        assert_ne!(few.bits_of(0), few.bits_of(1));
        assert_ne!(few, other);
    }
}
