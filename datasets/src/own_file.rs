//! Files of our own in folders that others may write to: never opened through a link.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// Why a file of our own cannot be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// Something else is in its place.
    NotAFile(&'static str),
    /// What the operating system said.
    Io(io::Error),
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NotAFile(kind) => io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("is {kind}, which is not written to; remove it"),
            ),
            OpenError::Io(cause) => cause,
        }
    }
}

impl From<io::Error> for OpenError {
    fn from(cause: io::Error) -> Self {
        OpenError::Io(cause)
    }
}

/// Opens a regular file. A link, a pipe or a device in its place is refused before and after the file is opened, so
/// that one that is put there in between is not followed either.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<File, OpenError> {
    match fs::symlink_metadata(path) {
        Ok(there) => check(&there)?,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(cause.into()),
    }
    let file = without_following(options).open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// Opens a regular file to write to it, unless the same bytes have another name, which would see the change.
pub(crate) fn open_to_write(path: &Path, options: &OpenOptions) -> Result<File, OpenError> {
    let file = open(path, options)?;
    if has_other_names(&file.metadata()?) {
        return Err(OpenError::NotAFile("a file that has another name as well (a hard link)"));
    }
    Ok(file)
}

#[cfg(unix)]
fn without_following(options: &OpenOptions) -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = options.clone();
    // Opening a pipe would wait for its other end; regular files do not mind.
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

#[cfg(not(unix))]
fn without_following(options: &OpenOptions) -> OpenOptions {
    options.clone()
}

fn check(there: &Metadata) -> Result<(), OpenError> {
    if there.is_file() { Ok(()) } else { Err(OpenError::NotAFile(kind(there))) }
}

#[cfg(unix)]
fn has_other_names(there: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(there) > 1
}

#[cfg(not(unix))]
fn has_other_names(_: &Metadata) -> bool {
    false
}

/// What stands where a regular file or a folder should be.
pub(crate) fn kind(there: &Metadata) -> &'static str {
    match there.file_type() {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_symlink() => "a symbolic link",
        kind if kind.is_file() => "a file",
        _ => "a device, pipe or socket",
    }
}

/// True if `path` still names the open file, not another one or nothing.
#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let [ours, theirs] = [file.metadata(), fs::symlink_metadata(path)];
    matches!((ours, theirs), (Ok(ours), Ok(theirs)) if (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()))
}

/// True if there is a file at `path`, the open one as far as is known.
#[cfg(not(unix))]
pub(crate) fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// How the name of a scratch file begins and ends; random letters stand between.
pub(crate) const SCRATCH: [&str; 2] = [".helmholtz-", ".part"];

/// A scratch file with a random name in `folder`, with the permissions of any new file.
pub(crate) fn scratch(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    let [prefix, suffix] = SCRATCH;
    builder.prefix(prefix).suffix(suffix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
    builder.tempfile_in(folder).map_err(without_path)
}

/// An error of `tempfile` without the name of the scratch file, which says nothing to anybody.
pub(crate) fn without_path(error: io::Error) -> io::Error {
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    io::Error::new(error.kind(), cause.unwrap_or_else(|| error.to_string()))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn links_and_pipes_are_refused_and_their_targets_keep_their_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("victim"), "years of work").unwrap();
        symlink(at("victim"), at("soft")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        fs::hard_link(at("victim"), at("hard")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        for (name, kind) in [
            ("soft", "a symbolic link"),
            ("dangling", "a symbolic link"),
            ("hard", "a file that has another name as well (a hard link)"),
            ("folder", "a directory"),
        ] {
            match open_to_write(&at(name), &options) {
                Err(OpenError::NotAFile(found)) => assert_eq!(found, kind),
                other => panic!("{name}: {other:?}"),
            }
        }
        assert_eq!(fs::read_to_string(at("victim")).unwrap(), "years of work");
        assert!(!at("nowhere").exists());
        open_to_write(&at("new"), &options).unwrap();
        // As if the link had been put there after the first look.
        assert!(without_following(&options).open(at("soft")).is_err());
    }

    #[test]
    fn scratch_files_have_the_permissions_of_new_files() {
        let dir = tempfile::tempdir().unwrap();
        let plain = File::create(dir.path().join("plain")).unwrap();
        let mode = |file: &File| file.metadata().unwrap().permissions().mode();
        assert_eq!(mode(scratch(dir.path()).unwrap().as_file()), mode(&plain));
    }

    #[test]
    fn a_file_that_was_removed_or_replaced_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path));
        fs::rename(&path, dir.path().join("b")).unwrap();
        assert!(!is_at(&file, &path));
        File::create(&path).unwrap();
        assert!(!is_at(&file, &path));
    }
}
