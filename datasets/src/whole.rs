//! Writes files atomically, and opens files without following links.
//!
//! Anyone who can write into a folder can put a symbolic link there under a name that a program is about to open.
//! Therefore a scratch file has a random name and is always newly created ([`write()`]). A file that must keep its name
//! (a lock, a journal) is opened only if it is a regular file and not a link ([`open_lock`], [`open_append`]).

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// Prefix and suffix of the name of a scratch file; random letters are between them.
const SCRATCH: [&str; 2] = [".helmholtz-", ".part"];

/// Writes a file under a scratch name in the same folder and renames it, so that a partial file is never visible.
///
/// A link with the final name is replaced, not followed.
///
/// # Errors
/// If the file cannot be written; then nothing is left behind.
pub fn write(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut scratch = scratch_in(folder_of(path))?;
    let mut buffered = BufWriter::new(scratch.as_file_mut());
    content(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    scratch.as_file().sync_all()?;
    scratch.persist(path)?;
    Ok(())
}

/// A file with a random name and the permissions of any new file. It is removed when dropped, unless it gets another
/// name.
///
/// # Errors
/// If the folder is missing or cannot be written to.
pub fn scratch_in(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    let [prefix, suffix] = SCRATCH;
    builder.prefix(prefix).suffix(suffix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
    builder.tempfile_in(folder).map_err(without_path)
}

/// An error of `tempfile` without the name of the scratch file, which is of no use to users.
pub(crate) fn without_path(error: io::Error) -> io::Error {
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    io::Error::new(error.kind(), cause.unwrap_or_else(|| error.to_string()))
}

/// Removes the files in a folder that a process left when it died: those whose names satisfy `is_left`.
///
/// # Errors
/// If the folder cannot be read or a file cannot be removed.
pub fn sweep(folder: &Path, is_left: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_left(&name) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether a name is the name of a file from [`scratch_in`].
pub fn is_scratch(name: &str) -> bool {
    name.starts_with(SCRATCH[0]) && name.ends_with(SCRATCH[1])
}

/// Opens a file to lock it, and creates it if it is missing; its content is kept.
///
/// # Errors
/// If it is a link, has a second name, is not a regular file, or cannot be opened.
pub fn open_lock(path: &Path) -> io::Result<File> {
    open_to_write(path, File::options().read(true).write(true).create(true).truncate(false))
}

/// Opens a file to append to it, and with `create` creates it if it is missing.
///
/// # Errors
/// If it is a link, has a second name, is not a regular file, or cannot be opened.
pub fn open_append(path: &Path, create: bool) -> io::Result<File> {
    open_to_write(path, File::options().append(true).create(create))
}

/// Opens a regular file to write to it. A file with a second name (a hard link) is refused, because the change would be
/// visible there too.
fn open_to_write(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let file = open(path, options)?;
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(&file.metadata()?) > 1 {
        return Err(not_a_file("a file with a second name (a hard link)"));
    }
    Ok(file)
}

/// Opens a regular file. A link, a pipe or a device in its place is refused. The check is made before and after the
/// file is opened, so that one that is put there in between is not followed either.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let check = |there: Metadata| if there.is_file() { Ok(()) } else { Err(not_a_file(kind(&there))) };
    match fs::symlink_metadata(path) {
        Ok(there) => check(there)?,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(cause),
    }
    let file = without_following(options).open(path)?;
    check(file.metadata()?)?;
    Ok(file)
}

fn without_following(options: &OpenOptions) -> OpenOptions {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut options = options.clone();
    // Without O_NONBLOCK, opening a pipe would wait for its other end; regular files are not affected.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

fn not_a_file(found: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("is {found}, which is not written to; remove it"))
}

/// What is found where a regular file or a folder should be.
pub(crate) fn kind(there: &Metadata) -> &'static str {
    match there.file_type() {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_symlink() => "a symbolic link",
        kind if kind.is_file() => "a file",
        _ => "a device, pipe or socket",
    }
}

/// Whether a path still leads to an open file, and not to another file that took its place. On systems where this
/// cannot be known: whether the path exists.
pub fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let [ours, theirs] = [file.metadata(), fs::symlink_metadata(path)];
        matches!((ours, theirs), (Ok(ours), Ok(theirs)) if (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

/// The folder of a file; for a bare name it is the current directory.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_cannot_be_finished_leaves_the_old_one_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, |file| file.write_all(b"old")).unwrap();
        let cut = write(&path, |file| {
            file.write_all(b"ne")?;
            Err(io::Error::other("the disk is full"))
        });
        assert_eq!(cut.unwrap_err().to_string(), "the disk is full");
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"old".to_vec(), vec!["a".to_owned()]));
    }

    #[test]
    fn what_a_dead_process_left_is_swept_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let (_, left) = scratch_in(folder.path()).unwrap().keep().unwrap();
        fs::write(folder.path().join("m.part"), "a neighbour's").unwrap();
        assert!(left.exists());
        sweep(folder.path(), is_scratch).unwrap();
        assert_eq!(names(folder.path()), ["m.part"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_pipes_are_not_opened_and_their_targets_stay_what_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let [victim, link, dangling, hard] =
            ["victim", "link", "dangling", "hard"].map(|name| folder.path().join(name));
        fs::write(&victim, "precious").unwrap();
        fs::hard_link(&victim, &hard).unwrap();
        assert!(open_lock(&hard).unwrap_err().to_string().contains("a second name (a hard link)"));
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &dangling).unwrap();
        for path in [&link, &dangling] {
            assert!(open_lock(path).unwrap_err().to_string().contains("symbolic link"));
            assert!(open_append(path, true).unwrap_err().to_string().contains("symbolic link"));
            // As if the link had been put there after the first check.
            assert!(without_following(File::options().read(true)).open(path).is_err());
        }
        assert!(open_lock(folder.path()).is_err() && open_append(folder.path(), true).is_err());
        write(&link, |file| file.write_all(b"new")).unwrap();
        assert!(!fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(names(folder.path()), ["dangling", "hard", "link", "victim"]);
    }

    #[cfg(unix)]
    #[test]
    fn an_open_file_notices_that_its_name_leads_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, "kept").unwrap();
        let file = open_lock(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
        assert!(is_at(&file, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&file, &path));
        fs::write(&path, "another").unwrap();
        assert!(!is_at(&file, &path));
    }

    #[cfg(unix)]
    #[test]
    fn scratch_files_have_the_permissions_of_new_files() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let plain = File::create(folder.path().join("plain")).unwrap();
        let mode = |file: &File| file.metadata().unwrap().permissions().mode();
        assert_eq!(mode(scratch_in(folder.path()).unwrap().as_file()), mode(&plain));
    }
}
