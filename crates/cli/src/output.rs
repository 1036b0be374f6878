//! Output files that the user names: checked before any work starts, and written completely or not at all.
//!
//! A regular file is written under a temporary name and then renamed. A symbolic link is followed to its target.
//! Anything else (a pipe, `/dev/null`) is written in place, because a renamed file would replace it.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use helmholtz_datasets::whole::{self, folder_of};

use crate::error::user;

/// A file that a command will write.
#[derive(Clone, Debug)]
pub struct Output {
    path: PathBuf,
    /// Whether the user named the file. Only then is a link followed: anybody may have put a link into a run folder.
    named: bool,
}

impl Output {
    /// A file that a flag names.
    ///
    /// # Errors
    /// As [`check`].
    pub fn named(flag: &str, path: &Path, endings: &[&str]) -> anyhow::Result<Self> {
        check(flag, path, endings)?;
        Ok(Output { path: path.to_path_buf(), named: true })
    }

    /// A file in a folder that this program manages.
    pub fn inside(folder: &Path, name: &str) -> Self {
        Output { path: folder.join(name), named: false }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file completely, or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
        if self.named { write_whole(&self.path, content) } else { write_inside(&self.path, content) }
    }
}

/// Refuses an output that could not be written, before any work starts.
///
/// # Errors
/// If the name does not end in one of `endings` (an empty list allows any name), if the path is a folder or a broken
/// link, or if its folder is not writable.
pub fn check(flag: &str, path: &Path, endings: &[&str]) -> anyhow::Result<()> {
    let shown = path.display();
    if !endings.is_empty() {
        check_ending(flag, path, endings)?;
    }
    let wrong = |error: io::Error| user(format!("{flag} {shown}: {error}"));
    match place(path).map_err(wrong)? {
        Place::Stream => Ok(()),
        Place::File(target) => {
            let folder = folder_of(&target);
            if !folder.is_dir() {
                return Err(user(format!(
                    "{flag} {shown}: {} is not a folder; create it first",
                    folder.display()
                )));
            }
            let trial = whole::scratch_in(folder);
            trial.map(drop).map_err(|error| {
                user(format!("{flag} {shown}: cannot write into {}: {error}", folder.display()))
            })
        }
    }
}

/// Refuses a name that does not end in one of `endings`, which are given without the dot.
///
/// # Errors
/// If it does not.
pub fn check_ending(flag: &str, path: &Path, endings: &[&str]) -> anyhow::Result<()> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    // A stream such as a pipe may have any name.
    if endings.contains(&ending) || matches!(place(path), Ok(Place::Stream)) {
        return Ok(());
    }
    let wanted: Vec<String> = endings.iter().map(|ending| format!(".{ending}")).collect();
    Err(user(format!("{flag} {}: the file must end in {}", path.display(), wanted.join(" or "))))
}

/// Writes a file completely, or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write_whole(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> anyhow::Result<()> {
    let write = || match place(path)? {
        Place::File(target) => whole::write(&target, content),
        Place::Stream => {
            let mut stream = BufWriter::new(OpenOptions::new().write(true).open(path)?);
            content(&mut stream)?;
            stream.flush()
        }
    };
    write().map_err(|error| failed(path, &error))
}

/// Writes a file in a folder that this program manages: completely, or not at all. A link of that name is replaced.
///
/// # Errors
/// If it cannot be written.
pub fn write_inside(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> anyhow::Result<()> {
    // A copy of a run may have lost its empty folders.
    let write = || {
        fs::create_dir_all(folder_of(path))?;
        whole::write(path, content)
    };
    write().map_err(|error| failed(path, &error))
}

/// The first of `runs/NAME`, `runs/NAME-2`, ... that does not exist yet, as a new folder.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn next_free(name: &str) -> anyhow::Result<PathBuf> {
    let runs = Path::new("runs");
    fs::create_dir_all(runs).map_err(|error| failed(runs, &error))?;
    for n in 1.. {
        let path = runs.join(if n == 1 { name.to_owned() } else { format!("{name}-{n}") });
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&path, &error)),
        }
    }
    unreachable!("some number is free")
}

/// The error for a file that could not be written. A missing or read-only folder is a user error; a full disk is not.
pub(crate) fn failed(path: &Path, error: &io::Error) -> anyhow::Error {
    use io::ErrorKind::{
        InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem,
    };
    let message = format!("{}: {error}", path.display());
    match error.kind() {
        NotFound | PermissionDenied | ReadOnlyFilesystem | IsADirectory | NotADirectory | InvalidInput => {
            user(message)
        }
        _ => anyhow::anyhow!(message),
    }
}

enum Place {
    /// The file to write, which need not exist yet.
    File(PathBuf),
    /// A pipe, a terminal or another device that takes bytes.
    Stream,
}

fn place(path: &Path) -> io::Result<Place> {
    let refuse = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(Place::File(fs::canonicalize(path)?)),
        Ok(found) if found.is_dir() => refuse("is a folder; name a file".into()),
        Ok(found) if takes_bytes(&found) => Ok(Place::Stream),
        Ok(_) => refuse("is neither a file nor a pipe; choose another path".into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_link(path) {
            Ok(target) => {
                refuse(format!("is a link to {}, which does not exist; remove the link", target.display()))
            }
            Err(_) => Ok(Place::File(path.to_path_buf())),
        },
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn takes_bytes(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    found.file_type().is_fifo() || found.file_type().is_char_device()
}

#[cfg(not(unix))]
fn takes_bytes(_: &fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_refused_before_the_work() {
        let folder = tempfile::tempdir().unwrap();
        let says = |path: &Path, endings: &[&str]| check("--out", path, endings).unwrap_err().to_string();
        assert!(says(folder.path(), &[]).contains("is a folder"));
        assert!(says(&folder.path().join("no/x.npy"), &["npy"]).contains("is not a folder"));
        assert!(says(&folder.path().join("x.csv"), &["npy", "png"]).ends_with("must end in .npy or .png"));
        check("--out", &folder.path().join("x.npy"), &["npy"]).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the check leaves nothing behind");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_leads_to_its_file_and_a_device_is_written_to_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link, dangling] = ["file", "link", "dangling"].map(|name| folder.path().join(name));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &dangling).unwrap();
        write_whole(&link, |out| out.write_all(b"new")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(check("--out", &dangling, &[]).unwrap_err().to_string().contains("which does not exist"));
        check("--out", Path::new("/dev/null"), &["npy"]).unwrap();
        write_whole(Path::new("/dev/null"), |out| out.write_all(b"gone")).unwrap();
        use std::os::unix::fs::FileTypeExt;
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }
}
