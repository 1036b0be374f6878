//! The folder of a comparison, and the finished seeds of races that it keeps.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use helmholtz_datasets::whole;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::user;
use crate::output::{next_free, write_inside};

/// The file of the results, by which the folder of a finished comparison is recognised.
const RESULT: &str = "compare.json";
/// The folder of finished seeds, by which the folder of an unfinished comparison is recognised.
const SEEDS: &str = "seeds";
const FIGURES: &str = "figures";

/// The folder that a comparison is written to.
pub(super) struct Out {
    pub(super) folder: PathBuf,
}

/// A finished seed of a race.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    /// A hash of everything that decides it.
    key: String,
    course: T,
}

impl Out {
    /// A new folder, or one to go on with.
    ///
    /// # Errors
    /// If the folder holds something else, or another comparison that is not to be resumed.
    pub(super) fn create(out: Option<&Path>, resume: bool) -> anyhow::Result<Self> {
        let folder = match out {
            Some(folder) => {
                check(folder, resume)?;
                folder.to_path_buf()
            }
            None => next_free("compare")?,
        };
        for inner in [FIGURES, SEEDS] {
            let inner = folder.join(inner);
            fs::create_dir_all(&inner).map_err(|error| user(format!("{}: {error}", inner.display())))?;
        }
        Ok(Out { folder })
    }

    /// Writes a figure under its name.
    pub(super) fn write_figure(&self, name: &str, svg: &str) -> anyhow::Result<()> {
        write_inside(&self.folder.join(FIGURES).join(format!("{name}.svg")), |file| {
            file.write_all(svg.as_bytes())
        })
    }

    /// Writes the results so far.
    pub(super) fn write_result(&self, result: &Value) -> anyhow::Result<()> {
        write_inside(&self.folder.join(RESULT), |file| writeln!(file, "{result:#}"))
    }

    /// A finished seed that was decided by the same settings and data, if it was kept whole.
    pub(super) fn kept<T: DeserializeOwned>(&self, name: &str, key: &str) -> Option<T> {
        let text = fs::read_to_string(self.seed(name)).ok()?;
        let kept: Kept<T> = serde_json::from_str(&text).ok()?;
        (kept.key == key).then_some(kept.course)
    }

    /// Keeps a finished seed.
    pub(super) fn keep<T: Serialize>(&self, name: &str, key: &str, course: &T) -> anyhow::Result<()> {
        let kept = serde_json::to_string(&Kept { key: key.to_owned(), course })?;
        write_inside(&self.seed(name), |file| file.write_all(kept.as_bytes()))
    }

    fn seed(&self, name: &str) -> PathBuf {
        self.folder.join(SEEDS).join(format!("{name}.json"))
    }
}

/// Refuses a folder that holds something other than a comparison, because its `report.html` may be somebody else's, and
/// one that holds a comparison unless that is to be resumed.
fn check(folder: &Path, resume: bool) -> anyhow::Result<()> {
    let shown = folder.display();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !resume => return Ok(()),
        Err(error) => return Err(user(format!("--out {shown}: {error}; it must be a folder"))),
    };
    let names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let is_ours = names.iter().any(|name| [RESULT, SEEDS].contains(&name.as_str()));
    let foreign = names.iter().find(|name| *name != FIGURES && !whole::is_scratch(name));
    match (is_ours, foreign, resume) {
        (true, _, false) => Err(user(format!(
            "--out {shown}: holds a comparison; add --resume to go on with it, or choose another folder"
        ))),
        (false, Some(name), _) => Err(user(format!(
            "--out {shown}: holds {name} but no comparison ({RESULT}); choose another folder"
        ))),
        (false, None, true) => Err(user(format!(
            "--out {shown}: holds no comparison to resume; leave out --resume to start one"
        ))),
        _ => Ok(()),
    }
}
