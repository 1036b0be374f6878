//! `uci/...`: the binary sets of the NADE paper, from the UCI repository and LIBSVM.
//!
//! The splits are those of Larochelle and Murray, which reweighted wake-sleep, MADE and BiHM use
//! as well. The columns of these sets are no image.
//!
//! # Reference
//! Larochelle and Murray, "The neural autoregressive distribution estimator", AISTATS 2011.

use crate::catalogue::{Entry, Recipe};

/// Census records in indicator coding.
pub const ADULT: Entry = Entry {
    id: "uci/adult",
    version: 1,
    summary: "census records as 123 indicators, split as in the NADE paper",
    source: "github.com/UCLA-StarAI/Density-Estimation-Datasets (train, valid); LIBSVM a5a.t (test)",
    licence: "none stated",
    generated: false,
    width: 123,
    split_sizes: [5_000, 1_414, 26_147],
    files: [
        &["uci-nade/adult.train.data.gz", "uci-nade/adult.train.data"],
        &["uci-nade/adult.valid.data.gz", "uci-nade/adult.valid.data"],
        &["uci-nade/adult.test.data.gz", "uci-nade/adult.test.data"],
    ],
    sha256: "4036f883b9a9b9187dd8efeff95fc72c803f0b74f8c60d40ab279258798c0e60",
    recipe: Recipe::Text,
};
