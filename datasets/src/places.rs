//! Where data files and parsed copies are.

use std::path::{Path, PathBuf};

use crate::cache::Cache;

/// Where data files and parsed copies are looked for.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The directory of data files; see [`data_dir`].
    pub data_dir: Option<PathBuf>,
    /// Where parsed copies are kept.
    pub cache: Cache,
}

/// The directory of data files: `explicit`, else `$HELMHOLTZ_DATA`, else `helmholtz` in the platform's data directory,
/// else `helmholtz-data` in the current directory.
pub fn data_dir(explicit: Option<&Path>) -> PathBuf {
    let named = explicit.map(Path::to_owned);
    let from_environment =
        || std::env::var_os("HELMHOLTZ_DATA").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let platform = || dirs::data_dir().map(|dir| dir.join("helmholtz"));
    named.or_else(from_environment).or_else(platform).unwrap_or_else(|| PathBuf::from("helmholtz-data"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explicit_data_directory_comes_first() {
        assert_eq!(data_dir(Some(Path::new("here"))), Path::new("here"));
    }
}
