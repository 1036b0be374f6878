//! A loaded data set: three splits with a protocol and a hash.

use std::borrow::Cow;
use std::collections::BTreeSet;

use burn::tensor::{Device, Int, Tensor, TensorData};
use helmholtz_core::{Batch, Target};
use helmholtz_noise::{Key, Role};
use sha2::{Digest, Sha256};

use crate::cache::hex;
use crate::source_file::FoundFile;
use crate::{Binarization, DataError, ImageShape, Law, Split, SplitName, binarize};

/// Three splits under a protocol.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// The id that it was loaded by.
    pub id: String,
    /// The version of its protocol; it changes if any value changes.
    pub version: u32,
    /// Rows that models are trained on, in the order of the file or of the generator.
    pub train: Split,
    /// Rows for model selection.
    pub valid: Split,
    /// Rows that results are reported on.
    pub test: Split,
    /// How a row is laid out as an image.
    pub shape: ImageShape,
    /// How intensities become bits. Under [`Binarization::Dynamic`] the training rows are intensities, from which
    /// bits are drawn anew in every epoch; the other two splits are already drawn.
    pub binarization: Binarization,
    /// The exact distribution, if it is known.
    pub law: Option<Law>,
    /// SHA-256 of the decoded values, in hexadecimal; see [`DataSet::new`].
    pub data_sha256: String,
    /// SHA-256 of the labels, if every split has labels. For each split it covers the number of rows as a 64-bit
    /// integer and the labels as 32-bit integers, little-endian.
    pub labels_sha256: Option<String>,
    /// SHA-256 of the real targets, if every split has targets. For each split it covers the number of rows and the
    /// number of targets per row as 64-bit integers, and the targets as 32-bit floats, little-endian.
    pub targets_sha256: Option<String>,
    /// The files that it was read from.
    pub files: Vec<FoundFile>,
}

impl DataSet {
    /// Makes a data set and hashes its splits.
    ///
    /// The hash covers the train, valid and test split in turn. For each split it covers:
    /// - the number of rows and the width, as 64-bit little-endian integers;
    /// - the values: one byte each, or the four little-endian bytes of a real number;
    /// - if values are missing, one byte for each value: 1 if it was observed, 0 if it is missing.
    ///
    /// Files that were compressed anew, or written with other separators, therefore have the same hash.
    pub fn new(id: impl Into<String>, version: u32, splits: [Split; 3], law: Option<Law>) -> Self {
        let data_sha256 = hash(&splits);
        let (labels_sha256, targets_sha256) = (hash_labels(&splits), hash_targets(&splits));
        let [train, valid, test] = splits;
        DataSet {
            id: id.into(),
            version,
            shape: train.shape(),
            train,
            valid,
            test,
            binarization: Binarization::AsStored,
            law,
            data_sha256,
            labels_sha256,
            targets_sha256,
            files: Vec::new(),
        }
    }

    /// One of the three splits.
    pub fn split(&self, name: SplitName) -> &Split {
        match name {
            SplitName::Train => &self.train,
            SplitName::Valid => &self.valid,
            SplitName::Test => &self.test,
        }
    }

    /// One of the three splits for evaluation: the same bits in every run.
    ///
    /// That is the split itself, except for training rows that are intensities under [`Binarization::Dynamic`]: their
    /// bits are drawn once, from the protocol's key.
    pub fn fixed(&self, name: SplitName) -> Cow<'_, Split> {
        match (self.binarization, name) {
            (Binarization::Dynamic, SplitName::Train) => {
                Cow::Owned(binarize::draw(&self.train, protocol_key(&self.protocol(), name)))
            }
            _ => Cow::Borrowed(self.split(name)),
        }
    }

    /// The distinct labels of the training rows in ascending order; `None` if the training rows have no labels.
    ///
    /// A class is numbered by its place in this list, so that a label means the same class in every split.
    pub fn classes(&self) -> Option<Vec<i32>> {
        let distinct: BTreeSet<i32> = self.train.labels()?.iter().copied().collect();
        Some(distinct.into_iter().collect())
    }

    /// One of the three splits, as [`split`](DataSet::split) returns it, on a device, for training. Rows from which
    /// bits are drawn anew in every epoch are intensities.
    ///
    /// The target is the classes of the rows if both the split and the training rows have labels, and the real targets
    /// of the split otherwise. For a model that predicts no classes use [`Split::batch`], which ignores labels.
    ///
    /// # Errors
    /// [`DataError::UnknownLabel`] if the target is the classes and a row has a label that no training row has.
    pub fn batch(&self, name: SplitName, device: &Device) -> Result<Batch, DataError> {
        self.with_classes(name, self.split(name).batch(device))
    }

    /// One of the three splits, as [`fixed`](DataSet::fixed) returns it, on a device: for evaluation.
    ///
    /// # Errors
    /// As [`batch`](DataSet::batch).
    pub fn fixed_batch(&self, name: SplitName, device: &Device) -> Result<Batch, DataError> {
        self.with_classes(name, self.fixed(name).batch(device))
    }

    fn with_classes(&self, name: SplitName, batch: Batch) -> Result<Batch, DataError> {
        let (Some(labels), Some(classes)) = (self.split(name).labels(), self.classes()) else {
            return Ok(batch);
        };
        let number = |(row, label): (usize, &i32)| match classes.binary_search(label) {
            Ok(class) => Ok(class as i64),
            Err(_) => Err(DataError::UnknownLabel {
                id: self.id.clone(),
                split: name,
                row: row + 1,
                label: *label,
                classes: classes.len(),
            }),
        };
        let numbers = labels.iter().enumerate().map(number).collect::<Result<Vec<i64>, _>>()?;
        let data = TensorData::new(numbers, [labels.len()]);
        let classes = Tensor::<1, Int>::from_data(data, &batch.x.device());
        Ok(batch.with_target(Target::Classes(classes)))
    }

    /// `id@version`: results under different protocols do not share a table column.
    pub fn protocol(&self) -> String {
        protocol(&self.id, self.version)
    }
}

/// `id@version`.
pub(crate) fn protocol(id: &str, version: u32) -> String {
    format!("{id}@{version}")
}

/// The key from which a protocol draws a split.
pub(crate) fn protocol_key(protocol: &str, split: SplitName) -> Key {
    Key::new(0).child(Role::Data).child(protocol).child(split.to_string().as_str())
}

fn hash(splits: &[Split; 3]) -> String {
    let mut sha = Sha256::new();
    for split in splits {
        sha.update((split.rows() as u64).to_le_bytes());
        sha.update((split.width() as u64).to_le_bytes());
        split.values().hash(&mut sha);
        if let Some(mask) = split.mask() {
            sha.update(mask);
        }
    }
    hex(&sha.finalize())
}

fn hash_labels(splits: &[Split; 3]) -> Option<String> {
    let mut sha = Sha256::new();
    for split in splits {
        sha.update((split.rows() as u64).to_le_bytes());
        sha.update(split.labels()?.iter().flat_map(|label| label.to_le_bytes()).collect::<Vec<u8>>());
    }
    Some(hex(&sha.finalize()))
}

fn hash_targets(splits: &[Split; 3]) -> Option<String> {
    let mut sha = Sha256::new();
    for split in splits {
        let targets = split.targets()?;
        sha.update((split.rows() as u64).to_le_bytes());
        sha.update((targets.width() as u64).to_le_bytes());
        sha.update(targets.values().iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    }
    Some(hex(&sha.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Targets;

    #[test]
    fn the_hash_is_over_sizes_and_values_of_the_three_splits() {
        // printf '\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1\0' and so on, into sha256sum.
        let splits = [Split::new(2, 1, vec![1, 0]), Split::new(1, 1, vec![1]), Split::new(0, 1, vec![])];
        let set = DataSet::new("a/b", 3, splits, None);
        assert_eq!(set.data_sha256, "b3903dbdf01c4a2cd959b535aaaf66780155f7ea30d6739074716de46c480d5d");
        assert_eq!(set.protocol(), "a/b@3");
    }

    #[test]
    fn labels_have_a_hash_of_their_own_if_every_split_has_some() {
        let split = |labels| Split::new(1, 1, vec![1]).with_labels(labels);
        let with = |label| DataSet::new("a", 1, [0, 1, label].map(|label| split(Some(vec![label]))), None);
        let without = DataSet::new("a", 1, [Some(vec![0]), Some(vec![1]), None].map(split), None);
        assert_eq!(with(2).data_sha256, without.data_sha256);
        assert!(with(2).labels_sha256.is_some() && with(2).labels_sha256 != with(3).labels_sha256);
        assert_eq!(without.labels_sha256, None);
    }

    #[test]
    fn missing_values_and_targets_have_their_part_in_the_hashes() {
        let split = |mask: Option<Vec<u8>>| Split::new(2, 1, vec![0, 1]).with_mask(mask);
        let set = |train: Split| {
            let targets = |rows, first| Some(Targets::new(1, [first, 2.0][..rows].to_vec()));
            let splits = [train.with_targets(targets(2, 1.0)), split(None).with_targets(targets(2, 0.5))];
            let [train, rest] = splits;
            DataSet::new("a", 1, [train, rest.clone(), rest], None)
        };
        let (whole, gap) = (set(split(None)), set(split(Some(vec![0, 1]))));
        let bare = DataSet::new("a", 1, [split(None), split(None), split(None)], None);
        assert_eq!((&whole.data_sha256, bare.targets_sha256), (&bare.data_sha256, None));
        // The missing value is stored as the 0 that it hides.
        assert_eq!(gap.train.values(), whole.train.values());
        assert_ne!(gap.data_sha256, whole.data_sha256);
        assert!(whole.targets_sha256.is_some() && whole.targets_sha256 == gap.targets_sha256);
        let other = whole.train.clone().with_targets(Some(Targets::new(1, vec![1.0, 3.0])));
        let other = DataSet::new("a", 1, [other, whole.valid.clone(), whole.test.clone()], None);
        assert_ne!(other.targets_sha256, whole.targets_sha256);
    }

    fn labelled(labels: [&[i32]; 3]) -> DataSet {
        let splits = labels.map(|labels| {
            Split::grey(labels.len(), 1, vec![128; labels.len()]).with_labels(Some(labels.to_vec()))
        });
        DataSet { binarization: Binarization::Dynamic, ..DataSet::new("a", 1, splits, None) }
    }

    #[test]
    fn a_label_is_the_same_class_in_every_split() {
        let set = labelled([&[7, -1, 3, 7], &[7], &[3, 7]]);
        assert_eq!(set.classes(), Some(vec![-1, 3, 7]));
        for (name, expected) in
            [(SplitName::Train, vec![2, 0, 1, 2]), (SplitName::Valid, vec![2]), (SplitName::Test, vec![1, 2])]
        {
            let fed = set.batch(name, &Device::flex()).unwrap();
            let judged = set.fixed_batch(name, &Device::flex()).unwrap();
            for batch in [&fed, &judged] {
                let classes: Vec<i64> = batch.classes().unwrap().into_data().iter().collect();
                assert_eq!(classes, expected, "{name}");
            }
            let is_bit = |x: Tensor<2>| x.into_data().iter::<f32>().all(|x| x == 0.0 || x == 1.0);
            assert_eq!((is_bit(fed.x), is_bit(judged.x)), (false, name == SplitName::Train), "{name}");
        }
    }

    #[test]
    fn a_label_that_no_training_row_has_is_refused_by_whoever_asks_for_classes() {
        let set = labelled([&[0, 1], &[1], &[0, 1, 5]]);
        assert!(set.batch(SplitName::Valid, &Device::flex()).is_ok());
        let error = set.batch(SplitName::Test, &Device::flex()).unwrap_err().to_string();
        assert!(error.contains("a: row 3 of the test split has the label 5"), "{error}");
        assert_eq!(set.test.batch(&Device::flex()).len(), 3);
        // The target is the classes even if there are targets; without labels it is the targets.
        let targets = || Some(Targets::new(1, vec![0.5; 2]));
        let train = set.train.clone().with_targets(targets());
        let both = DataSet::new("a", 1, [train, set.valid.clone(), set.valid.clone()], None);
        let target = |set: &DataSet| set.batch(SplitName::Train, &Device::flex()).unwrap().target;
        assert!(matches!(target(&both), Some(Target::Classes(_))));
        let train = set.train.with_labels(None).with_targets(targets());
        let bare = DataSet::new("a", 1, [train, set.valid.clone(), set.valid], None);
        assert!(matches!(target(&bare), Some(Target::Values(_))));
    }

    #[test]
    fn splits_are_found_by_name() {
        let splits = [1, 2, 3].map(|rows| Split::new(rows, 4, vec![0; rows * 4]));
        let set = DataSet::new("a", 1, splits, None);
        assert_eq!(SplitName::ALL.map(|name| set.split(name).rows()), [1, 2, 3]);
        assert_eq!(set.shape, ImageShape { height: 2, width: 2 });
    }

    #[test]
    fn training_rows_that_are_redrawn_in_training_are_judged_on_one_draw() {
        let splits = [1, 2, 3].map(|rows| Split::grey(rows, 400, vec![128; rows * 400]));
        let set = DataSet { binarization: Binarization::Dynamic, ..DataSet::new("a", 1, splits, None) };
        let fixed = set.fixed(SplitName::Train);
        assert_eq!((fixed.kind(), &*fixed), (crate::ValueKind::Binary, &*set.fixed(SplitName::Train)));
        assert_eq!(&*set.fixed(SplitName::Test), &set.test);
    }
}
