//! The files of a run.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::config::{Config, Overlay};
use crate::error::user;

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
                "{}: not a run folder (there is no run.toml in it); `helmholtz train --out {0}` makes one",
                path.display()
            )));
        }
        Ok(folder)
    }

    /// A new folder, at `path` or at the next free name under `runs/`.
    ///
    /// # Errors
    /// If the folder holds something already or cannot be made.
    pub fn create(path: Option<&Path>, config: &Config) -> anyhow::Result<Self> {
        let path = match path {
            Some(path) => path.to_path_buf(),
            None => next_free(config),
        };
        let folder = RunFolder { path };
        let shown = folder.path.display();
        if folder.config_path().exists() {
            return Err(user(format!(
                "{shown}: holds another run; choose another --out, or go on with that run by --resume"
            )));
        }
        let existed = folder.path.exists();
        if existed {
            let empty = fs::read_dir(&folder.path)
                .map_err(|error| user(format!("{shown}: {error}; --out must be a folder")))?
                .next()
                .is_none();
            if !empty {
                return Err(user(format!("{shown}: is not empty and no run; choose another --out")));
            }
        }
        if let Some(parent) = folder.path.parent() {
            fs::create_dir_all(parent).map_err(|error| user(format!("{shown}: {error}")))?;
        }
        // Of two processes that find the name free, one makes the folder.
        match fs::create_dir(&folder.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(user(format!("{shown}: {error}")));
            }
            Err(_) if !existed => return Err(user(format!("{shown}: was made by another process just now"))),
            _ => {}
        }
        for inner in ["checkpoint", "samples"] {
            fs::create_dir_all(folder.path.join(inner)).with_context(|| shown.to_string())?;
        }
        folder.write("run.toml", |file| file.write_all(config.to_toml().as_bytes()))?;
        Ok(folder)
    }

    /// The folder itself.
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

    /// Writes a file of the run: whole, or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: impl FnOnce(&mut File) -> io::Result<()>) -> anyhow::Result<()> {
        write_whole(&self.path.join(name), content)
    }

    /// Makes sure that no other process trains into the folder, for as long as the file lives.
    ///
    /// # Errors
    /// If another process does, or the lock file cannot be made.
    pub fn lock(&self) -> anyhow::Result<File> {
        let path = self.path.join(".lock");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(user(format!(
                "{}: another process is training into this folder; wait for it, or choose another --out",
                self.path.display()
            ))),
            Err(fs::TryLockError::Error(error)) => Err(anyhow::anyhow!("{}: {error}", path.display())),
        }
    }
}

/// Writes a file under a scratch name and renames it, so that no half of it is ever seen.
///
/// # Errors
/// If it cannot be written.
pub fn write_whole(path: &Path, content: impl FnOnce(&mut File) -> io::Result<()>) -> anyhow::Result<()> {
    let mut scratch = path.as_os_str().to_owned();
    scratch.push(".part");
    let scratch = PathBuf::from(scratch);
    let write = || -> io::Result<()> {
        let mut file = File::create(&scratch)?;
        content(&mut file)?;
        file.sync_all()?;
        fs::rename(&scratch, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&scratch);
        // A folder that is not there is the user's to set right; a full disk is not.
        let message = format!("{}: {error}", path.display());
        if error.kind() == io::ErrorKind::NotFound { user(message) } else { anyhow::anyhow!(message) }
    })
}

/// Refuses a file in a folder that is not there, before the work is done.
///
/// # Errors
/// If the parent of the path is no folder.
pub fn check_folder(flag: &str, path: &Path) -> anyhow::Result<()> {
    match path.parent() {
        Some(folder) if !(folder.as_os_str().is_empty() || folder.is_dir()) => {
            Err(user(format!("{flag}: {} is not a folder", folder.display())))
        }
        _ => Ok(()),
    }
}

fn next_free(config: &Config) -> PathBuf {
    let data = config
        .data
        .id
        .split(['/', ':', ',', '\\'])
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-");
    let name = |n: usize| format!("runs/{}-{}-{data}-{n}", config.model.kind, config.strategy.kind);
    (1..).map(|n| PathBuf::from(name(n))).find(|path| !path.exists()).expect("some number is free")
}
