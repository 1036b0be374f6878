//! `fashion/...`: pictures of clothes, 28×28, upright, light on black.
//!
//! The files and their split into 60 000 and 10 000 rows are those of the authors. The authors give no validation rows;
//! here the last 10 000 training rows serve as such. `fashion/dynamic` and `fashion/threshold` turn grey values into
//! bits as [`mnist`](crate::mnist) does.
//!
//! # Reference
//! Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
//! learning algorithms", 2017, arXiv:1708.07747.

use crate::entry::{Entry, Recipe};
use crate::mnist::images_and_labels;
use crate::source_file::{SourceFile, idx_file};
use crate::{Binarization, ImageShape};

macro_rules! original {
    ($($file:tt)*) => {
        idx_file!("fashion-mnist", $($file)*, [
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://storage.googleapis.com/cvdf-datasets/fashion-mnist/"
        ])
    };
}

/// Bits drawn anew in every epoch.
pub const DYNAMIC: Entry = Entry {
    id: "fashion/dynamic",
    version: 1,
    summary: "pictures of clothes, 28x28, training rows drawn from their grey values in every epoch",
    source: "github.com/zalandoresearch/fashion-mnist",
    licence: "MIT (Zalando SE)",
    generated: false,
    shape: ImageShape { height: 28, width: 28 },
    split_sizes: [50_000, 10_000, 10_000],
    binarization: Binarization::Dynamic,
    files: &[
        original!("train-images-idx3", 26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", labels: false),
        original!("t10k-images-idx3", 4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", labels: false),
        original!("train-labels-idx1", 29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", labels: true),
        original!("t10k-labels-idx1", 5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", labels: true),
    ],
    sha256: Some("bd2c56ddb5a8144463419be150d78f769642d35bd8ef13d2bd3c168369b92505"),
    labels_sha256: Some("5bb96d9cb4d07e0be0caa7288f947d7f1ea0f9aa4e14bce0c6debda35d652a2f"),
    recipe: Recipe::Read(images_and_labels),
};

/// Bits that are 1 where the grey value is above a half.
pub const THRESHOLD: Entry = Entry {
    id: "fashion/threshold",
    summary: "pictures of clothes, 28x28, white where the grey value is above a half",
    binarization: Binarization::Threshold,
    sha256: Some("8933056fc77ef0fb24f6b6ba8f5b929d3ac3313ddb5e023c616cc30e41f994d8"),
    ..DYNAMIC
};
