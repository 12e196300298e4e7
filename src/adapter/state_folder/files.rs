//! Durable file operations.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Owner only: documents show what databases hold.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// Files begin so until they are complete.
const NEW: &str = ".new-";

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    // An empty path is the parent of a relative name.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes one folder; fails when it exists.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(FOLDER_MODE).create(folder)?;
    sync_parent(folder)
}

/// Makes a folder and those above it where they are missing.
pub fn make_folders(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folders(parent)?;
    }
    match make_folder(folder) {
        // Somebody was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        other => other,
    }
}

/// Options of a file that only its owner may read.
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE);
    options
}

/// Makes an empty file; fails when it exists.
pub fn create_empty(path: &Path) -> io::Result<()> {
    private().write(true).create_new(true).open(path)?.sync_all()?;
    sync_parent(path)
}

/// Replaces a file in one step: a reader, or a crash, meets the old content or the new one.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Made with mode 0600.
    let mut file = tempfile::Builder::new().prefix(NEW).tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Every finished file below a folder, with its size.
pub fn walk(folder: &Path, each: &mut dyn FnMut(&Path, u64)) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), each)?;
        } else if kind.is_file() && !entry.file_name().to_string_lossy().starts_with(NEW) {
            each(&entry.path(), entry.metadata()?.len());
        }
    }
    Ok(())
}

/// What the operating system says, and what to do where that is clear.
pub fn explain(error: &io::Error) -> String {
    let advice = match error.kind() {
        ErrorKind::ReadOnlyFilesystem => "name a writable folder in the environment's `state`",
        ErrorKind::PermissionDenied => "the folder must belong to the user who runs clickferry",
        ErrorKind::StorageFull => "the disk is full; nothing more is written before there is room",
        ErrorKind::QuotaExceeded => "the disk quota is used up",
        ErrorKind::AlreadyExists => "it is there already",
        _ => return error.to_string(),
    };
    format!("{error}; {advice}")
}
