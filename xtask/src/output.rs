//! Files that are written whole.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// Writes a file as a whole, in a folder that is made if need be.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    helmholtz_cli::output::write_whole(path, |file| file.write_all(text.as_bytes()))
}
