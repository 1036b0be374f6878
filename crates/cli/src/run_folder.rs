//! The files of a run.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use helmholtz_datasets::whole;

use crate::config::{Config, Overlay};
use crate::error::user;
use crate::output;

/// What a run was made from. A new run writes this file last.
pub(crate) const PROVENANCE: &str = "provenance.json";
const LOCK: &str = ".lock";
/// The folders inside a run folder.
const FOLDERS: [&str; 2] = ["checkpoint", "samples"];
/// Files that a run folder may contain before the run has begun.
const BEGINNING: [&str; 2] = [LOCK, INITIAL];
/// A copy of the initial weights, if they were taken from another run or from a file.
pub(crate) const INITIAL: &str = "initial.safetensors";

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The folder of a run that has been started.
    ///
    /// # Errors
    /// If there is no such run.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let folder = RunFolder { path: path.to_path_buf() };
        if !folder.config_path().is_file() {
            return Err(user(format!(
                "{}: not a run folder (it contains no run.toml); `helmholtz train --out {0}` creates one",
                path.display()
            )));
        }
        Ok(folder)
    }

    /// Creates a folder, at `path` or at the next free name under `runs/`, and locks it.
    ///
    /// It becomes a run with the call of [`write_provenance`](Self::write_provenance), the last step. If a process dies
    /// before that, the run can be started again in the same folder.
    ///
    /// # Errors
    /// If the folder contains anything else or cannot be created.
    pub fn create(path: Option<&Path>, config: &Config) -> anyhow::Result<(Self, RunLock)> {
        let path = path.map_or_else(|| next_free(config), |path| Ok(path.to_path_buf()))?;
        let folder = RunFolder { path };
        let wrong = |error: io::Error| output::failed(&folder.path, &error);
        folder.check_new()?;
        if let Some(parent) = folder.path.parent() {
            fs::create_dir_all(parent).map_err(wrong)?;
        }
        match fs::create_dir(&folder.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(wrong(error)),
            _ => {}
        }
        // If two processes find the name free, one of them gets the lock.
        let lock = folder.lock()?;
        folder.check_new()?;
        folder.sweep()?;
        // It may be left over from the start of another command.
        match fs::remove_file(folder.path.join(INITIAL)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrong(error)),
            _ => {}
        }
        for inner in FOLDERS {
            fs::create_dir_all(folder.path.join(inner)).map_err(wrong)?;
        }
        folder.write("run.toml", |file| file.write_all(config.to_toml().as_bytes()))?;
        Ok((folder, lock))
    }

    /// Refuses a folder that contains a run, or anything that an interrupted start of a run does not leave.
    fn check_new(&self) -> anyhow::Result<()> {
        let shown = self.path.display();
        if let Ok(target) = fs::read_link(&self.path)
            && !self.path.exists()
        {
            return Err(user(format!(
                "{shown}: is a link to {}, which does not exist; remove the link, or choose another --out",
                target.display()
            )));
        }
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(user(format!("{shown}: {error}; --out must be a folder"))),
        };
        if self.path.join(PROVENANCE).exists() {
            return Err(user(format!(
                "{shown}: holds another run; choose another --out, or continue that run with --resume"
            )));
        }
        for entry in entries {
            let entry = entry.map_err(|error| user(format!("{shown}: {error}")))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_beginning = match name.as_str() {
                // One that was written by hand is the user's config, and stays.
                "run.toml" => self.path.join(LOCK).exists() && self.is_config_of_ours(),
                name => BEGINNING.contains(&name) || is_left(name),
            };
            let is_empty =
                |folder: &Path| fs::read_dir(folder).is_ok_and(|mut inside| inside.next().is_none());
            if !(is_beginning || FOLDERS.contains(&name.as_str()) && is_empty(&entry.path())) {
                return Err(user(format!(
                    "{shown}: is not empty and is not a run folder (it contains {name}); choose another --out"
                )));
            }
        }
        Ok(())
    }

    /// Whether `run.toml` is word for word what this program writes.
    fn is_config_of_ours(&self) -> bool {
        let resolved = Config::resolve(Some(&self.config_path()), &Overlay::default());
        let text = fs::read_to_string(self.config_path());
        matches!((resolved, text), (Ok(config), Ok(text)) if config.to_toml() == text)
    }

    /// Whether the folder contains a run, and not just what a process left that died while it started one.
    pub fn is_begun(&self) -> bool {
        // A folder with more files than a start leaves has lost its provenance. The code that reads it reports that.
        self.path.join(PROVENANCE).exists() || self.check_new().is_err()
    }

    /// Removes unfinished files of processes that died while writing. The caller must hold the lock.
    ///
    /// # Errors
    /// If a folder of the run cannot be read.
    pub fn sweep(&self) -> anyhow::Result<()> {
        for folder in [self.path.clone()].into_iter().chain(FOLDERS.map(|inner| self.path.join(inner))) {
            match whole::sweep(&folder, is_left) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(output::failed(&folder, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `run.toml`.
    pub fn config_path(&self) -> PathBuf {
        self.path.join("run.toml")
    }

    /// The config of the run.
    ///
    /// # Errors
    /// If it cannot be read, or was edited since the run was started.
    pub fn config(&self) -> anyhow::Result<Config> {
        self.check_config()?;
        Config::resolve(Some(&self.config_path()), &Overlay::default())
    }

    /// Writes a file of the run completely, or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(
        &self,
        name: &str,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        output::write_inside(&self.path.join(name), content)
    }

    /// Locks the folder: no other process can train into it until the lock is dropped.
    ///
    /// # Errors
    /// If another process holds the lock, or the lock file cannot be created.
    pub fn lock(&self) -> anyhow::Result<RunLock> {
        let path = self.path.join(LOCK);
        loop {
            let file = whole::open_lock(&path).map_err(|error| output::failed(&path, &error))?;
            match file.try_lock() {
                // The file may have been removed between opening and locking it.
                Ok(()) if whole::is_at(&file, &path) => return Ok(RunLock { file, path }),
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(user(format!(
                        "{}: another process is training into this folder; wait for it, or choose another --out",
                        self.path.display()
                    )));
                }
                Err(fs::TryLockError::Error(error)) => return Err(output::failed(&path, &error)),
            }
        }
    }
}

/// Keeps other processes from training into a folder until it is dropped.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    path: PathBuf,
}

impl RunLock {
    /// Checks that the lock file still exists. If it was removed, another process may have taken the folder.
    ///
    /// # Errors
    /// If it was removed.
    pub fn check(&self) -> io::Result<()> {
        if whole::is_at(&self.file, &self.path) {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "{}: was removed during the run, so another process may be writing into the folder",
            self.path.display()
        )))
    }
}

/// Whether a name in a run folder is that of an unfinished file: one of this program, of Burn
/// (`model-3.bpk.1435-2.tmp`) or of an earlier version.
fn is_left(name: &str) -> bool {
    let of_burn = name.ends_with(".tmp") && name.contains(".bpk.");
    let of_old = ["run.toml.part", "provenance.json.part", "report.html.part", "metrics.jsonl.part"]
        .contains(&name)
        || name == "initial.part.safetensors"
        || name == "samples.png.part"
        || name.ends_with(".bpk.sha256.part");
    whole::is_scratch(name) || of_burn || of_old
}

/// Creates a folder with the next free name under `runs/`. Two processes that do so at once get different folders.
fn next_free(config: &Config) -> anyhow::Result<PathBuf> {
    let data = config
        .data
        .id
        .split(['/', ':', ',', '\\'])
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-");
    let runs = Path::new("runs");
    fs::create_dir_all(runs).map_err(|error| output::failed(runs, &error))?;
    for n in 1.. {
        let path =
            runs.join(format!("{}-{}-{data}-{n}", config.spec.model.kind(), config.spec.strategy.kind()));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(output::failed(&path, &error)),
        }
    }
    unreachable!("some number is free")
}
