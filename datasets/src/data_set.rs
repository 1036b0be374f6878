//! A loaded data set: three splits, a protocol and a hash.

use std::borrow::Cow;

use helmholtz_noise::{Key, Role};
use sha2::{Digest, Sha256};

use crate::cache::hex;
use crate::source_file::FoundFile;
use crate::{Binarization, ImageShape, Law, Split, SplitName, binarize};

/// Three splits under a protocol.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// The id that it was loaded by.
    pub id: String,
    /// The version of its protocol; a change of any value changes it.
    pub version: u32,
    /// What models are fitted to, in the order of the file or of the generator.
    pub train: Split,
    /// What choices are made on.
    pub valid: Split,
    /// What results are reported on.
    pub test: Split,
    /// How a row is laid out as an image.
    pub shape: ImageShape,
    /// How intensities become bits. Under [`Binarization::Dynamic`] the training rows are
    /// intensities, to be drawn anew in every epoch; the other two splits are drawn already.
    pub binarization: Binarization,
    /// The exact law, where there is one.
    pub law: Option<Law>,
    /// SHA-256 of the decoded values, in hexadecimal; see [`DataSet::new`].
    pub data_sha256: String,
    /// SHA-256 of the labels, where every split has some: of each the number of rows as a 64-bit
    /// and the labels as 32-bit little-endian integers.
    pub labels_sha256: Option<String>,
    /// The files that it was read from.
    pub files: Vec<FoundFile>,
}

impl DataSet {
    /// Hashes the splits.
    ///
    /// The hash is over the train, valid and test split in turn, of each the number of rows and
    /// the width as 64-bit little-endian integers and then the values: a byte each, or the four
    /// little-endian bytes of a real number. Files that were packed anew, or written with other
    /// separators, therefore agree.
    pub fn new(id: impl Into<String>, version: u32, splits: [Split; 3], law: Option<Law>) -> Self {
        let data_sha256 = hash(&splits);
        let labels_sha256 = hash_labels(&splits);
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

    /// One of the three splits as models are judged on it: the same bits in every run.
    ///
    /// That is the split itself, except for training rows that are intensities to be drawn: these
    /// are drawn once, from the protocol's key.
    pub fn fixed(&self, name: SplitName) -> Cow<'_, Split> {
        match (self.binarization, name) {
            (Binarization::Dynamic, SplitName::Train) => {
                Cow::Owned(binarize::draw(&self.train, protocol_key(&self.protocol(), name)))
            }
            _ => Cow::Borrowed(self.split(name)),
        }
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

/// The key that a protocol draws a split under.
pub(crate) fn protocol_key(protocol: &str, split: SplitName) -> Key {
    Key::new(0).child(Role::Data).child(protocol).child(split.to_string().as_str())
}

fn hash(splits: &[Split; 3]) -> String {
    let mut sha = Sha256::new();
    for split in splits {
        sha.update((split.rows() as u64).to_le_bytes());
        sha.update((split.width() as u64).to_le_bytes());
        split.values().hash(&mut sha);
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

#[cfg(test)]
mod tests {
    use super::*;

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
