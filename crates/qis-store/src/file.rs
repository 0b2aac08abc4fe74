//! The file of a store, and others that come to be whole or not at all.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use redb::StorageBackend;
use redb::backends::FileBackend;

/// How many files may be in the making, or be left of processes that were killed while they made them.
const MOST_DRAFTS: u32 = 100;

/// Opens what is under a database; again, should that be needed.
pub(crate) struct Opener(Box<dyn Fn() -> io::Result<Box<dyn StorageBackend>> + Send>);

impl Opener {
    pub(crate) fn new(open: impl Fn() -> io::Result<Box<dyn StorageBackend>> + Send + 'static) -> Self {
        Self(Box::new(open))
    }

    /// Of a file that is there.
    pub(crate) fn file(path: &Path) -> Self {
        let path = path.to_owned();
        Self::new(move || Ok(Box::new(backend(OpenOptions::new().read(true).write(true).open(&path)?)?)))
    }

    pub(crate) fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        (self.0)()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener")
    }
}

pub(crate) fn backend(file: File) -> io::Result<FileBackend> {
    FileBackend::new(file).map_err(io::Error::other)
}

/// A file beside the one it is to become. It is removed in the end, whatever happened.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// An empty file that nobody but its owner can read.
    pub(crate) fn new(target: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // One may be left of a process that was killed, or be made by another just now.
        for number in 0..MOST_DRAFTS {
            let mut path = OsString::from(target);
            path.push(format!(".new-{number}"));
            let path = PathBuf::from(path);
            match options.open(&path) {
                Ok(_) => return Ok(Self { path, target: target.to_owned() }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(
            "too many unfinished files with names ending in .new- and a number: remove them",
        ))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, durably.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] when there is one of that name: it is left alone.
    pub(crate) fn publish(self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        match fs::hard_link(&self.path, &self.target) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
            // Some file systems have no links. Nobody else is likely to make the file just now.
            Err(_) if !self.target.exists() => fs::rename(&self.path, &self.target)?,
            Err(error) => return Err(error),
        }
        sync_directory(&self.target)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It is gone already where it was renamed.
        let _ = fs::remove_file(&self.path);
    }
}

/// The directory that a file is in.
pub(crate) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the name of a new file survive a power loss, as far as the platform can.
fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory(path))?.sync_all() } else { Ok(()) }
}
