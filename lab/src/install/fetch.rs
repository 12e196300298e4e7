//! `install`: fetches what is missing with the machine's own package clients, and says what it does.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{MissingPart, Part, Parts, find, library};
use crate::error::LabError;
use crate::files;
use crate::options::{Engine, PartPaths};

/// Fetches every part an engine needs and this machine lacks; `say` gets a line for each thing done.
pub fn install(engine: Engine, paths: &PartPaths, say: &mut dyn FnMut(&str)) -> Result<(), LabError> {
    let missing = match Parts::find(engine, paths) {
        Ok(parts) => {
            describe(&parts, say);
            say("nothing to install");
            return Ok(());
        }
        Err(LabError::Missing(missing)) => missing,
        Err(other) => return Err(other),
    };
    let mut packages = Vec::new();
    for part in &missing {
        say(&format!("missing: {}", part.part.purpose()));
        match part.part {
            Part::Zookeeper => packages.push("zookeeper"),
            Part::Java => packages.push("default-jre-headless"),
            Part::Server => packages.push("clickhouse-server"),
            Part::Library if find::on_path(&["npm"]).is_err() => packages.push("npm"),
            Part::Library => {}
        }
    }
    if !packages.is_empty() {
        install_packages(&packages, &missing, say)?;
    }
    if missing.iter().any(|part| part.part == Part::Library) {
        install_library(&missing, say)?;
    }
    describe(&Parts::find(engine, paths)?, say);
    Ok(())
}

fn describe(parts: &Parts, say: &mut dyn FnMut(&str)) {
    if let Some(library) = &parts.library {
        say(&format!("library    {}", library.display()));
    }
    if let Some(server) = &parts.server {
        say(&format!("server     {}", server.path.display()));
    }
    say(&format!("java       {}", parts.java.display()));
    say(&format!("zookeeper  {}", parts.classpath.split(':').next().unwrap_or_default()));
}

/// The way out when a package client cannot help: every package and the flag that takes a path instead.
fn by_hand(what: &str, missing: &[MissingPart]) -> LabError {
    let mut text = format!("{what}\n  help: install by hand, or say where the part is:");
    for part in missing {
        text.push_str(&format!("\n  - {}: {}, or `{}`", part.part.purpose(), part.part.package(), part.part.flag()));
    }
    LabError::Invalid(text)
}

fn install_packages(packages: &[&str], missing: &[MissingPart], say: &mut dyn FnMut(&str)) -> Result<(), LabError> {
    let Ok(apt) = find::on_path(&["apt-get"]) else {
        return Err(by_hand("this machine has no apt-get", missing));
    };
    // SAFETY: geteuid cannot fail and touches no memory.
    if unsafe { libc::geteuid() } != 0 {
        let words = packages.join(" ");
        return Err(by_hand(&format!("only root may install packages; run `sudo apt-get install {words}`"), missing));
    }
    let mut client = |arguments: &[&str]| {
        let mut command = Command::new(&apt);
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        run(&mut command, say)
    };
    let words = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    // A fresh machine has no package lists yet.
    let installed = client(&words).or_else(|_| client(&["update"]).and_then(|()| client(&words)));
    installed.map_err(|what| by_hand(&what, missing))
}

fn install_library(missing: &[MissingPart], say: &mut dyn FnMut(&str)) -> Result<(), LabError> {
    let target = library::cached_path().map_err(LabError::Invalid)?;
    let folder = target.parent().unwrap_or(Path::new("/")).to_path_buf();
    files::private_dir(&folder)?;
    let work = tempfile::tempdir_in(&folder).map_err(LabError::io("create a folder in", &folder))?;
    let mut command = Command::new("npm");
    // npm reads a project's configuration from the current folder, so it runs in an empty one.
    command.args(["pack", "--silent", "--pack-destination", "."]).arg(format!(
        "{}@{}",
        library::PACKAGE,
        library::VERSION
    ));
    command.current_dir(work.path());
    run(&mut command, say).map_err(|what| by_hand(&what, missing))?;
    let package = single_package(work.path())?;
    say(&format!("unpack {} to {}, and check its sha256", package.display(), target.display()));
    library::unpack(&package, &target)
}

fn single_package(folder: &Path) -> Result<PathBuf, LabError> {
    let entries = fs::read_dir(folder).map_err(LabError::io("read", folder))?;
    let found = entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "tgz"));
    found.ok_or_else(|| LabError::Invalid(format!("npm pack left no .tgz file in `{}`", folder.display())))
}

/// Runs a package client; its output goes to our standard error, so that standard output stays ours.
fn run(command: &mut Command, say: &mut dyn FnMut(&str)) -> Result<(), String> {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|w| w.to_string_lossy().into_owned())
        .collect();
    let line = words.join(" ");
    say(&format!("run: {line}"));
    let output = std::io::stderr().as_fd().try_clone_to_owned().map_or_else(|_| Stdio::null(), Stdio::from);
    match command.stdin(Stdio::null()).stdout(output).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` ended with {status}: no network, or no such package here")),
        Err(error) => Err(format!("`{line}` did not start: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_names_package_and_flag() {
        let missing = [MissingPart { part: Part::Zookeeper, looked_at: String::new() }];
        let text = by_hand("no network", &missing).to_string();
        assert!(text.contains("Debian package zookeeper") && text.contains("--zookeeper-classpath"), "{text}");
    }

    #[test]
    fn a_failing_client_is_an_error_with_its_command_line() {
        let mut said = Vec::new();
        let error = run(Command::new("false").arg("x"), &mut |line| said.push(line.to_owned())).unwrap_err();
        assert!(error.contains("`false x`"), "{error}");
        assert_eq!(said, ["run: false x"]);
        assert!(run(&mut Command::new("/nonexistent/client"), &mut |_| ()).unwrap_err().contains("did not start"));
    }
}
