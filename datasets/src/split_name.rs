//! The names of the three splits.

/// One of the three splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase", parse_err_ty = UnknownSplit, parse_err_fn = unknown)]
pub enum SplitName {
    /// Rows that models are trained on.
    Train,
    /// Rows for model selection.
    Valid,
    /// Rows that results are reported on.
    Test,
}

impl SplitName {
    /// The three splits in the order in which they are listed and hashed.
    pub const ALL: [SplitName; 3] = [SplitName::Train, SplitName::Valid, SplitName::Test];
}

fn unknown(name: &str) -> UnknownSplit {
    UnknownSplit(name.to_owned())
}

/// The error for a name that is not the name of a split.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a split; use train, valid or test")]
pub struct UnknownSplit(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_names_are_read_as_they_are_written() {
        for name in SplitName::ALL {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        let error = "tests".parse::<SplitName>().unwrap_err();
        assert_eq!(error.to_string(), "`tests` is not the name of a split; use train, valid or test");
    }
}
