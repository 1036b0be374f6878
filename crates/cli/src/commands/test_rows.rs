//! Whether the test rows are a fair test: not if the model was fitted to them or chosen by them.

use helmholtz_datasets::{DataSet, facts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How the test split of a set relates to the other two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TestRows {
    /// Rows of the test split.
    n: usize,
    /// True if they are the validation rows.
    is_valid: bool,
    /// How many of them also occur in training, if the values can be compared.
    in_train: Option<usize>,
    /// True for a user's own files, which alone are warned about: a published protocol cannot be changed, and rows of
    /// few bits recur by chance.
    own: bool,
}

impl TestRows {
    /// Compares the splits.
    pub(crate) fn of(data: &DataSet) -> Self {
        TestRows {
            n: data.test.rows(),
            is_valid: facts::test_is_valid(data),
            in_train: facts::test_rows_in_train(data),
            own: data.id.starts_with("file:"),
        }
    }

    /// What a reader of the test likelihood must know.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.is_valid && self.own {
            sentences.push(
                "the test rows are the validation rows, on which the epoch was chosen; name a test file as \
                 file:TRAIN,VALID,TEST"
                    .to_owned(),
            );
        }
        if let Some(shared @ 1..) = self.in_train.filter(|_| self.own) {
            sentences.push(format!("{shared} of {} test rows also occur in training", self.n));
        }
        sentences
    }

    /// Prints these sentences as warnings on standard error.
    pub(crate) fn warn(&self) {
        for sentence in self.sentences() {
            eprintln!("warning: {sentence}");
        }
    }

    /// Adds the keys `test_is_valid` and `test_rows_in_train` to an object. Both are null if the test split was not
    /// scored or is not available.
    pub(crate) fn put(this: Option<&Self>, json: &mut Value) {
        json["test_is_valid"] = json!(this.map(|rows| rows.is_valid));
        json["test_rows_in_train"] = json!(this.and_then(|rows| rows.in_train));
    }
}
