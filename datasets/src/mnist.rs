//! `mnist/binarized`: the fixed binarization of MNIST that H. Larochelle distributes.
//!
//! Each pixel of the 28×28 digits was drawn once with its grey value as the probability of ink.
//! 1 is ink, the images are upright. **The rows of every split are sorted by digit**: no prefix of
//! a split stands for the whole.
//!
//! # Reference
//! Salakhutdinov and Murray, "On the quantitative analysis of deep belief networks", ICML 2008;
//! Larochelle and Murray, "The neural autoregressive distribution estimator", AISTATS 2011.

use crate::catalogue::{Entry, Recipe};

/// Larochelle's files.
pub const BINARIZED: Entry = Entry {
    id: "mnist/binarized",
    version: 1,
    summary: "handwritten digits, 28x28, the fixed binarization of Larochelle and Murray (2011)",
    source: "www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/",
    licence: "none stated; digits by Y. LeCun, C. Cortes and C. Burges",
    generated: false,
    width: 784,
    split_sizes: [50_000, 10_000, 10_000],
    files: [
        &["binarized-mnist/binarized_mnist_train.amat.gz", "binarized-mnist/binarized_mnist_train.amat"],
        &["binarized-mnist/binarized_mnist_valid.amat.gz", "binarized-mnist/binarized_mnist_valid.amat"],
        &["binarized-mnist/binarized_mnist_test.amat.gz", "binarized-mnist/binarized_mnist_test.amat"],
    ],
    sha256: "fd59187fa030ac579d97ac053e44bf7bf71831f1df66ac73df47c184eeea16b1",
    recipe: Recipe::Text,
};
