//! Summary statistics of a loaded set, for checks and tables.

use std::collections::HashSet;
use std::hash::Hash;

use crate::{DataSet, Split, SplitName, Targets, ValueKind, Values};

/// What a split holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SplitFacts {
    /// Which split.
    pub name: SplitName,
    /// Number of rows.
    pub rows: usize,
    /// The kind of its values.
    pub kind: ValueKind,
    /// The least and the greatest observed value; `None` if no value is observed.
    pub range: Option<[f32; 2]>,
    /// The mean of all observed values.
    pub mean: f64,
    /// Number of missing values.
    pub missing: usize,
    /// Number of classes that occur, if there are labels.
    pub classes: Option<usize>,
    /// Number of real targets per row, if there are any.
    pub targets: Option<usize>,
}

/// The facts of each split.
pub fn splits(set: &DataSet) -> [SplitFacts; 3] {
    SplitName::ALL.map(|name| {
        let split = set.split(name);
        SplitFacts {
            name,
            rows: split.rows(),
            kind: split.kind(),
            range: split.range(),
            mean: mean(split),
            missing: split.missing(),
            classes: split.labels().map(|labels| labels.iter().collect::<HashSet<_>>().len()),
            targets: split.targets().map(Targets::width),
        }
    })
}

/// The mean of all observed values.
fn mean(split: &Split) -> f64 {
    let means = split.mean();
    if split.mask().is_none() {
        return means.iter().sum::<f64>() / means.len().max(1) as f64;
    }
    let observed = split.observed();
    let sum: f64 = means.iter().zip(&observed).map(|(mean, n)| mean * *n as f64).sum();
    sum / observed.iter().sum::<usize>().max(1) as f64
}

/// True if the test rows are the validation rows, as they are when a user gives no TEST. Models were then selected on
/// the test rows.
pub fn test_is_valid(set: &DataSet) -> bool {
    let [test, valid] = [&set.test, &set.valid].map(|split| (split.width(), split.values(), split.mask()));
    test == valid
}

/// The number of test rows that also occur in the training split, with the same values missing; `None` if the two
/// splits hold values of different kinds or widths and cannot be compared.
///
/// Rows are hashed in place and not copied; memory is needed only for the test rows.
pub fn test_rows_in_train(set: &DataSet) -> Option<usize> {
    fn count<T: Eq + Hash>([train, test]: [&[T]; 2], [of_train, of_test]: [&Split; 2]) -> usize {
        let tested: HashSet<_> = keys(test, of_test).collect();
        let shared: HashSet<_> = keys(train, of_train).filter(|row| tested.contains(row)).collect();
        keys(test, of_test).filter(|row| shared.contains(row)).count()
    }
    /// The values of each row, and its mask if a value is missing.
    fn keys<'a, T>(values: &'a [T], split: &'a Split) -> impl Iterator<Item = (&'a [T], Option<&'a [u8]>)> {
        let width = split.width().max(1);
        let mask = move |i: usize| split.mask().map(|mask| &mask[i * width..][..width]);
        let rows = values.chunks_exact(width).enumerate();
        rows.map(move |(i, row)| (row, mask(i).filter(|mask| mask.contains(&0))))
    }
    let splits = [&set.train, &set.test];
    if set.train.width() != set.test.width() {
        return None;
    }
    match splits.map(Split::values) {
        [Values::Binary(train), Values::Binary(test)] | [Values::Grey(train), Values::Grey(test)] => {
            Some(count([train, test], splits))
        }
        // Real numbers are equal if their bits are equal, because a split holds no NaN and no -0.
        [Values::Real(train), Values::Real(test)] => {
            Some(count([train, test].map(|values| bytemuck::cast_slice::<f32, u32>(values)), splits))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn missing_values_and_targets_are_facts_and_tell_rows_apart() {
        let train = Split::new(2, 2, vec![0, 1, 1, 1]).with_mask(Some(vec![0, 1, 1, 1]));
        let train = train.with_targets(Some(Targets::new(3, vec![0.0; 6])));
        let test = Split::new(2, 2, vec![0, 1, 1, 1]);
        let set = DataSet::new("a", 1, [train.clone(), train, test], None);
        let [facts, _, bare] = splits(&set);
        assert_eq!((facts.missing, facts.targets, facts.range), (1, Some(3), Some([1.0, 1.0])));
        assert_eq!((facts.mean, bare.mean, bare.missing, bare.targets), (1.0, 0.75, 0, None));
        assert_eq!(test_rows_in_train(&set), Some(1));
        assert!(!test_is_valid(&set));
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
