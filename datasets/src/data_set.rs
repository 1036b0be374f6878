//! A loaded data set: three splits, a protocol and a hash.

use sha2::{Digest, Sha256};

use crate::{ImageShape, Law, Split, SplitName};

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
    /// The exact law, where there is one.
    pub law: Option<Law>,
    /// SHA-256 of the decoded values, in hexadecimal; see [`DataSet::new`].
    pub data_sha256: String,
}

impl DataSet {
    /// Hashes the splits, and lays a row out as a square where it fills one.
    ///
    /// The hash is over the train, valid and test split in turn, of each the number of rows and
    /// the width as 64-bit little-endian integers and then the values, a byte each. Files that
    /// were packed anew, or written with other separators, therefore agree.
    pub fn new(id: impl Into<String>, version: u32, splits: [Split; 3], law: Option<Law>) -> Self {
        let data_sha256 = hash(&splits);
        let [train, valid, test] = splits;
        let shape = ImageShape::of_width(train.width());
        DataSet { id: id.into(), version, train, valid, test, shape, law, data_sha256 }
    }

    /// One of the three splits.
    pub fn split(&self, name: SplitName) -> &Split {
        match name {
            SplitName::Train => &self.train,
            SplitName::Valid => &self.valid,
            SplitName::Test => &self.test,
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

fn hash(splits: &[Split; 3]) -> String {
    let mut sha = Sha256::new();
    for split in splits {
        sha.update((split.rows() as u64).to_le_bytes());
        sha.update((split.width() as u64).to_le_bytes());
        sha.update(split.values());
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
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
    fn splits_are_found_by_name() {
        let splits = [1, 2, 3].map(|rows| Split::new(rows, 4, vec![0; rows * 4]));
        let set = DataSet::new("a", 1, splits, None);
        assert_eq!(SplitName::ALL.map(|name| set.split(name).rows()), [1, 2, 3]);
        assert_eq!(set.shape, ImageShape { height: 2, width: 2 });
    }
}
