//! libchdb.so: which build, where it is kept, and how it comes out of its package.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::error::LabError;
use crate::files;

/// Package of npm that holds the library.
pub const PACKAGE: &str = "@chdb/lib-linux-x64-gnu";
/// The one version the node knows; another build has other inner addresses.
pub const VERSION: &str = "26.7.3-stable.1";
/// Name of the file inside the package.
const MEMBER: &str = "package/libchdb.so";
/// Checksum of the file.
const SHA256: &str = "36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5";

/// Where `install` puts the library and `up` looks for it.
pub fn cached_path() -> Result<PathBuf, String> {
    let cache = match env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(cache) => PathBuf::from(cache),
        None => match env::var_os("HOME").filter(|value| !value.is_empty()) {
            Some(home) => Path::new(&home).join(".cache"),
            None => return Err("neither XDG_CACHE_HOME nor HOME is set".to_owned()),
        },
    };
    Ok(cache.join("clickferry/lab/chdb-26.7.3/libchdb.so"))
}

/// Takes the library out of a package file, checks it, and only then gives it its name.
pub fn unpack(package: &Path, target: &Path) -> Result<(), LabError> {
    unpack_member(package, target, SHA256)
}

fn unpack_member(package: &Path, target: &Path, expected: &str) -> Result<(), LabError> {
    let part = target.with_extension("so.part");
    let found = extract(package, &part).map_err(LabError::io("unpack", package))?;
    if found != expected {
        let _ = fs::remove_file(&part);
        return Err(LabError::Invalid(format!(
            "`{}` holds another {MEMBER} than the laboratory knows\n  expected sha256 {expected}\n  found    sha256 {found}\n  \
             help: nothing was installed; fetch {PACKAGE}@{VERSION} again, or give a file you trust with `--library PATH`",
            package.display()
        )));
    }
    fs::rename(&part, target).map_err(LabError::io("write", target))
}

/// Streams the member to a file and returns its checksum; the library has more than half a gigabyte.
fn extract(package: &Path, part: &Path) -> io::Result<String> {
    let mut tar = Command::new("tar").arg("-xzOf").arg(package).arg(MEMBER).stdout(Stdio::piped()).spawn()?;
    let mut input = tar.stdout.take().ok_or_else(|| io::Error::other("tar has no output"))?;
    let mut output = File::create(part)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        let read = input.read(&mut block)?;
        if read == 0 {
            break;
        }
        let data = block.get(..read).unwrap_or_default();
        hash.update(data);
        output.write_all(data)?;
    }
    let status = tar.wait()?;
    if !status.success() {
        return Err(io::Error::other(format!("tar ended with {status}; expected the member {MEMBER}")));
    }
    output.sync_all()?;
    Ok(files::hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(dir: &Path) -> PathBuf {
        fs::create_dir(dir.join("package")).unwrap();
        fs::write(dir.join(MEMBER), "a library").unwrap();
        let file = dir.join("p.tgz");
        assert!(
            Command::new("tar").arg("-C").arg(dir).arg("-czf").arg(&file).arg("package").status().unwrap().success()
        );
        file
    }

    #[test]
    fn a_wrong_checksum_installs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("libchdb.so");
        let error = unpack(&package(dir.path()), &target).unwrap_err().to_string();
        assert!(error.contains(SHA256) && error.contains("--library PATH"), "{error}");
        assert!(!target.exists() && !target.with_extension("so.part").exists());
    }

    #[test]
    fn the_right_checksum_gives_the_file_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("libchdb.so");
        let sum = files::hex(&Sha256::digest("a library"));
        unpack_member(&package(dir.path()), &target, &sum).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "a library");
    }
}
