//! `mnist/...`: handwritten digits, 28×28, upright, ink 1.
//!
//! - `mnist/binarized` is the fixed binarization that H. Larochelle distributes: each pixel was drawn once with its
//!   grey value as the probability of ink. **The rows of every split are sorted by digit**: no prefix of a split
//!   represents the whole.
//! - `mnist/dynamic` uses the grey values of the original files as the probabilities of ink. Training rows are drawn
//!   anew in every epoch, validation and test rows once.
//! - `mnist/threshold` has ink where the grey value is above a half.
//!
//! In the latter two, the first 50 000 rows of the original training file are for training and its last 10 000 for
//! validation. `mnist/threshold-60000` and `mnist/binarized-60000` train on all of them, as some papers do; their
//! validation rows are the same 10 000, so that they say nothing of rows that were not trained on.
//!
//! # Reference
//! LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
//! 1998; Salakhutdinov and Murray, "On the quantitative analysis of deep belief networks", ICML
//! 2008; Larochelle and Murray, "The neural autoregressive distribution estimator", AISTATS 2011.

use crate::entry::{Entry, Recipe};
use crate::reader::Reader;
use crate::source_file::{Mirror, SourceFile, idx_file};
use crate::{Binarization, DataError, ImageShape, Split, Values};

/// One of Larochelle's files, gzipped here.
macro_rules! binarized {
    ($split:literal, $bytes:literal, $sha256:literal) => {
        SourceFile {
            names: &[
                concat!("binarized-mnist/binarized_mnist_", $split, ".amat.gz"),
                concat!("binarized-mnist/binarized_mnist_", $split, ".amat"),
            ],
            bytes: $bytes,
            sha256: Some($sha256),
            labels: false,
            mirrors: &[
                Mirror {
                    url: concat!(
                        "https://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/binarized_mnist_",
                        $split,
                        ".amat"
                    ),
                    name: concat!("binarized-mnist/binarized_mnist_", $split, ".amat"),
                },
                // The `.data` files of this mirror hold the text of the `.amat` files.
                Mirror {
                    url: concat!(
                        "https://raw.githubusercontent.com/UCLA-StarAI/Density-Estimation-Datasets/master/datasets/\
                         binarized_mnist/binarized_mnist.",
                        $split,
                        ".data"
                    ),
                    name: concat!("binarized-mnist/binarized_mnist_", $split, ".amat"),
                },
            ],
        }
    };
}

/// One of the four original files.
macro_rules! original {
    ($($file:tt)*) => {
        idx_file!("mnist", $($file)*, [
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/"
        ])
    };
}

const SHAPE: ImageShape = ImageShape { height: 28, width: 28 };

/// Larochelle's binarization.
pub const BINARIZED: Entry = Entry {
    id: "mnist/binarized",
    version: 1,
    summary: "handwritten digits, 28x28, the fixed binarization of Larochelle and Murray (2011)",
    source: "www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/",
    licence: "not stated; digits by Y. LeCun, C. Cortes and C. Burges",
    generated: false,
    shape: SHAPE,
    split_sizes: [50_000, 10_000, 10_000],
    binarization: Binarization::AsStored,
    files: &[
        binarized!("train", 2_197_797, "877c7951e875c52ab7801f4ff16aeecb7816ebd697658231efeb2b640f01a3d8"),
        binarized!("valid", 439_811, "aeb77ba9e35dc39d9e5034538273523e37ff578c97d723a59f7ee4345373abad"),
        binarized!("test", 416_083, "b70dc82f02d6c858f598dbd879445709c2e5070d9a9749588b9c3800efa44af1"),
    ],
    sha256: Some("fd59187fa030ac579d97ac053e44bf7bf71831f1df66ac73df47c184eeea16b1"),
    labels_sha256: None,
    recipe: Recipe::Read(|files| files.text_splits()),
};

/// As [`BINARIZED`], with all rows of the original training file for training.
pub const BINARIZED_ALL: Entry = Entry {
    id: "mnist/binarized-60000",
    summary: "handwritten digits, 28x28, as mnist/binarized; all 60000 for training, its validation rows among them",
    split_sizes: [60_000, 10_000, 10_000],
    sha256: Some("a800fa3a8b101c76542603f28eb8cb00b5fe8cc140a4feb24448e3f5f7978e01"),
    recipe: Recipe::Read(all_binarized),
    ..BINARIZED
};

/// Reads the three files; the rows for validation are also the last rows for training.
fn all_binarized(files: &Reader<'_>) -> Result<[Split; 3], DataError> {
    let [train, valid, test] = [(0, 50_000), (1, 10_000), (2, 10_000)].map(|(i, rows)| files.images(i, rows));
    let (train, valid) = (train?, valid?);
    let bits = |i: usize, split: &Split| match split.values() {
        Values::Binary(bits) => Ok(bits.clone()),
        _ => Err(DataError::malformed(
            files.path(i),
            "it has values that are not bits; use the original file".to_owned(),
        )),
    };
    let all = [bits(0, &train)?, bits(1, &valid)?].concat();
    Ok([Split::new(60_000, train.width(), all).with_shape(train.shape()), valid, test?])
}

/// The original files, with bits drawn anew in every epoch.
pub const DYNAMIC: Entry = Entry {
    id: "mnist/dynamic",
    version: 1,
    summary: "handwritten digits, 28x28, training rows drawn from their grey values in every epoch",
    source: "yann.lecun.com/exdb/mnist/",
    licence: "not stated; Y. LeCun, C. Cortes and C. Burges",
    generated: false,
    shape: SHAPE,
    split_sizes: [50_000, 10_000, 10_000],
    binarization: Binarization::Dynamic,
    files: &[
        original!("train-images-idx3", 9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", labels: false),
        original!("t10k-images-idx3", 1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", labels: false),
        original!("train-labels-idx1", 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", labels: true),
        original!("t10k-labels-idx1", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", labels: true),
    ],
    sha256: Some("4eed9a3da92adea2fa7a20c22b0d502f721ce97b150d2db741c9afb7aee3eb70"),
    labels_sha256: Some("633fd87a30426b6b804de9e5fb3f5d7a0486f1492b524d2733328a663a19c426"),
    recipe: Recipe::Read(images_and_labels),
};

/// The original files, with bits that are 1 where the grey value is above a half.
pub const THRESHOLD: Entry = Entry {
    id: "mnist/threshold",
    summary: "handwritten digits, 28x28, ink where the grey value is above a half",
    binarization: Binarization::Threshold,
    sha256: Some("a6a60677e7326cb2df032c858e54b549e069bb6f74acdd11c5ddb8600c638d24"),
    ..DYNAMIC
};

/// As [`THRESHOLD`], with all images of the original training file for training.
pub const THRESHOLD_ALL: Entry = Entry {
    id: "mnist/threshold-60000",
    summary: "handwritten digits, 28x28, as mnist/threshold; all 60000 for training, the last 10000 also for validation",
    split_sizes: [60_000, 10_000, 10_000],
    sha256: Some("d24ffac16c92245ec32370ed8c2006a8bca6a7f970320f812130f654e942e0a2"),
    labels_sha256: Some("6e69ed8d86e81c6a9ab0aa1f398fcc8dcf5c8f235f5f746595e04585bb97112f"),
    recipe: Recipe::Read(all_images_and_labels),
    ..THRESHOLD
};

/// Reads images and labels from four idx files; all training rows are for training, and the last 10 000 of them also
/// take the place of validation rows.
fn all_images_and_labels(files: &Reader<'_>) -> Result<[Split; 3], DataError> {
    let all = files.images(0, 60_000)?.with_labels(files.labels(2, 60_000)?);
    let test = files.images(1, 10_000)?.with_labels(files.labels(3, 10_000)?);
    let last: Vec<usize> = (50_000..60_000).collect();
    let valid = all.select(&last);
    Ok([all, valid, test])
}

/// Reads images and labels from four idx files; the last 10 000 training rows are for validation.
pub(crate) fn images_and_labels(files: &Reader<'_>) -> Result<[Split; 3], DataError> {
    let both = files.images(0, 60_000)?.with_labels(files.labels(2, 60_000)?);
    let test = files.images(1, 10_000)?.with_labels(files.labels(3, 10_000)?);
    let rows: Vec<usize> = (0..60_000).collect();
    let (train, valid) = rows.split_at(50_000);
    Ok([both.select(train), both.select(valid), test])
}
