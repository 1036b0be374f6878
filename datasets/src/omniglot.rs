//! `omniglot/28-derived`: characters of fifty alphabets, 28×28, bright ink.
//!
//! **These are not the files of the published OMNIGLOT results** (`chardata.mat`). The original drawings of 105×105
//! were averaged down, and the choice of drawers for training may differ. Do not compare log-likelihoods with
//! published ones.
//!
//! Grey values are probabilities of ink. Training rows are drawn anew in every epoch, validation and test rows once.
//! The 1345 validation rows (the usual number) are taken from the training file by a permutation that is part of the
//! protocol; the other rows keep their order.
//!
//! # Reference
//! Lake, Salakhutdinov and Tenenbaum, "Human-level concept learning through probabilistic program
//! induction", Science 2015.

use helmholtz_noise::{Key, Role};

use crate::entry::{Entry, Recipe};
use crate::partition::partition;
use crate::reader::Reader;
use crate::source_file::{SourceFile, idx_file};
use crate::{Binarization, DataError, ImageShape, Split};

const ROWS: [usize; 3] = [23_000, 1_345, 8_070];

/// Images down-sampled from the original drawings.
pub const DERIVED: Entry = Entry {
    id: "omniglot/28-derived",
    version: 1,
    summary: "characters of fifty alphabets, 28x28, averaged down; not the published chardata.mat",
    source: "github.com/brendenlake/omniglot, averaged down from 105x105 (see the documentation of this set)",
    licence: "MIT (B. Lake, R. Salakhutdinov and J. Tenenbaum)",
    generated: false,
    shape: ImageShape { height: 28, width: 28 },
    split_sizes: ROWS,
    binarization: Binarization::Dynamic,
    files: &[
        idx_file!("omniglot", "omniglot28-derived-train-images-idx3", 2_178_677, "10ef49faaf373ec1f134ee8c777718972f13e7c8bff3f053d84e80211123f367", labels: false, []),
        idx_file!("omniglot", "omniglot28-derived-test-images-idx3", 730_527, "c4ccb3fd8d0b783c34bcdd3fc528dcc1487461da4cba22adaa1f7d627a99f79f", labels: false, []),
    ],
    sha256: Some("66e94a5c2ed86dfee1ee3001cd3308e45c4933f15a154b1cb5e8be24f74f68f3"),
    labels_sha256: None,
    recipe: Recipe::Read(read),
};

fn read(files: &Reader<'_>) -> Result<[Split; 3], DataError> {
    let [n_train, n_valid, n_test] = ROWS;
    let both = files.images(0, n_train + n_valid)?;
    let key = Key::new(u64::from(DERIVED.version)).child(Role::Subset).child(DERIVED.id);
    let [train, valid] = partition(both.rows(), [n_train, n_valid], key);
    Ok([both.select(&train), both.select(&valid), files.images(1, n_test)?])
}
