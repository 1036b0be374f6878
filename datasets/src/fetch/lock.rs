//! The lock of a set that is being fetched.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::own_file::{self, OpenError};

/// Attempts to lock a file that others remove meanwhile.
const ATTEMPTS: usize = 10;

/// A file locked by this process.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Locks the file at `path`, which is made if there is none; nothing if another process has it.
    ///
    /// The file is never truncated, and a link in its place is never followed.
    pub(super) fn take(path: &Path) -> Result<Option<Self>, OpenError> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        for _ in 0..ATTEMPTS {
            let file = own_file::open_to_write(path, &options)?;
            match file.try_lock() {
                Ok(()) => {
                    let lock = Lock { path: path.to_owned(), file };
                    // The process that held it may have removed it between our opening and our locking it.
                    if lock.is_held() {
                        return Ok(Some(lock));
                    }
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(cause)) => return Err(cause.into()),
            }
        }
        Ok(None)
    }

    /// False if the file was removed or replaced, so that another process may have locked another one.
    pub(super) fn is_held(&self) -> bool {
        own_file::is_at(&self.file, &self.path)
    }

    /// Removes the file and gives the lock back.
    pub(super) fn release(self) {
        if self.is_held() {
            // What stays is locked again by the next call.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_leaves_the_bytes_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        fs::write(&path, "kept").unwrap();
        let lock = Lock::take(&path).unwrap().unwrap();
        assert!(Lock::take(&path).unwrap().is_none());
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
        lock.release();
        assert!(!path.exists() && Lock::take(&path).unwrap().is_some());
    }

    #[test]
    #[cfg(unix)]
    fn a_lock_notices_that_its_file_was_replaced_and_leaves_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let lock = Lock::take(&path).unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!lock.is_held());
        let other = Lock::take(&path).unwrap().unwrap();
        lock.release();
        assert!(other.is_held());
    }

    #[test]
    #[cfg(unix)]
    fn a_lock_does_not_follow_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("a.lock"), dir.path().join("victim"));
        fs::write(&victim, "years of work").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(matches!(Lock::take(&path), Err(OpenError::NotAFile("a symbolic link"))));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "years of work");
    }
}
