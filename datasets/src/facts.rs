//! What can be said of a loaded set: for checks and tables.

use std::collections::HashSet;
use std::hash::Hash;

use crate::{DataSet, SplitName, ValueKind, Values};

/// What a split holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SplitFacts {
    /// Which split.
    pub name: SplitName,
    /// Its rows.
    pub rows: usize,
    /// What its values are.
    pub kind: ValueKind,
    /// The least and the greatest value; none if there are no values.
    pub range: Option<[f32; 2]>,
    /// The mean of all values.
    pub mean: f64,
    /// Classes that occur, where there are labels.
    pub classes: Option<usize>,
}

/// The facts of each split.
pub fn splits(set: &DataSet) -> [SplitFacts; 3] {
    SplitName::ALL.map(|name| {
        let split = set.split(name);
        let means = split.mean();
        SplitFacts {
            name,
            rows: split.rows(),
            kind: split.kind(),
            range: split.values().range(),
            mean: means.iter().sum::<f64>() / means.len().max(1) as f64,
            classes: split.labels().map(|labels| labels.iter().collect::<HashSet<_>>().len()),
        }
    })
}

/// True if the test rows are the validation rows, as where a user names no TEST: choices were made on
/// them.
pub fn test_is_valid(set: &DataSet) -> bool {
    set.test.width() == set.valid.width() && set.test.values() == set.valid.values()
}

/// The number of test rows that also occur in the training split, if the two hold values of one kind
/// and can be compared.
///
/// Each row is hashed in its place, and none is copied; memory is taken for the test rows alone.
pub fn test_rows_in_train(set: &DataSet) -> Option<usize> {
    fn count<'a, T, K: Eq + Hash>(
        [train, test]: [&'a [T]; 2],
        width: usize,
        key: impl Fn(&'a [T]) -> K,
    ) -> usize {
        let tested: HashSet<K> = test.chunks_exact(width).map(&key).collect();
        let shared: HashSet<K> =
            train.chunks_exact(width).map(&key).filter(|row| tested.contains(row)).collect();
        test.chunks_exact(width).filter(|row| shared.contains(&key(row))).count()
    }
    if set.train.width() != set.test.width() {
        return None;
    }
    let width = set.train.width().max(1);
    match [set.train.values(), set.test.values()] {
        [Values::Binary(train), Values::Binary(test)] | [Values::Grey(train), Values::Grey(test)] => {
            Some(count([train, test], width, |row| row))
        }
        // Real numbers are equal where their bits are: there are no NaN and no -0 in a split.
        [Values::Real(train), Values::Real(test)] => {
            Some(count([train, test], width, bytemuck::cast_slice::<f32, u32>))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Split;

    #[test]
    fn facts_are_those_of_the_values() {
        let train = Split::grey(2, 2, vec![0, 51, 102, 51]).with_labels(Some(vec![4, 4]));
        let set = DataSet::new("a", 1, [train.clone(), train.select(&[0]), train.select(&[1])], None);
        let [facts, ..] = splits(&set);
        assert_eq!(
            (facts.rows, facts.kind, facts.range, facts.classes),
            (2, ValueKind::Grey, Some([0.0, 0.4]), Some(1))
        );
        assert!((facts.mean - 0.2).abs() < 1e-12);
    }

    #[test]
    fn test_rows_are_counted_as_often_as_they_occur() {
        let train = Split::new(2, 2, vec![0, 1, 1, 1]);
        let test = Split::new(4, 2, vec![0, 1, 0, 0, 0, 1, 1, 1]);
        let set = |test: Split| DataSet::new("a", 1, [train.clone(), test.clone(), test], None);
        assert_eq!(test_rows_in_train(&set(test)), Some(3));
        assert_eq!(test_rows_in_train(&set(Split::grey(1, 2, vec![0, 1]))), None);
        let real = Split::real(2, 1, vec![0.25, 0.5]);
        let set = DataSet::new("a", 1, [real.clone(), real.clone(), real.select(&[1, 1])], None);
        assert_eq!(test_rows_in_train(&set), Some(2));
    }

    #[test]
    fn a_test_split_that_is_the_validation_split_is_known() {
        let [a, b] = [[0, 1, 1, 1], [0, 1, 1, 0]].map(|bits| Split::new(2, 2, bits.to_vec()));
        let set = |valid: &Split, test: &Split| {
            DataSet::new("a", 1, [a.clone(), valid.clone(), test.clone()], None)
        };
        assert!(test_is_valid(&set(&b, &b)) && !test_is_valid(&set(&a, &b)));
        assert!(!test_is_valid(&set(&b, &Split::new(1, 4, b.bits().to_vec()))));
    }
}
