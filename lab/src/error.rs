//! What can go wrong in the laboratory, said so that the reader knows what to do next.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::http::HttpError;
use crate::install::MissingPart;

/// Every failure of the laboratory outside its node processes.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabError {
    /// A file or folder could not be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `create`, `remove`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Nothing runs in the folder.
    #[error(
        "no laboratory runs in `{}`\n  help: `clickferry-lab up --detach --dir {}` starts one; \
         `--dir` or CLICKFERRY_LAB_DIR names another folder", dir.display(), dir.display()
    )]
    NotRunning {
        /// The folder that was looked into.
        dir: PathBuf,
    },
    /// The supervisor was killed and left things behind.
    #[error(
        "the laboratory in `{}` is dead: its supervisor (process {pid}) was killed\n  help: \
         `clickferry-lab down --dir {}` removes what is left, `up` does so too before it starts",
        dir.display(), dir.display()
    )]
    Dead {
        /// The folder of the laboratory.
        dir: PathBuf,
        /// Process that was its supervisor.
        pid: i32,
    },
    /// A second `up` in a folder in use.
    #[error(
        "a laboratory already runs in `{}`\n  help: `clickferry-lab status --dir {}` shows it, \
         `clickferry-lab down --dir {}` ends it, `--dir OTHER` starts a second one",
        dir.display(), dir.display(), dir.display()
    )]
    AlreadyRunning {
        /// The folder of the laboratory.
        dir: PathBuf,
    },
    /// A folder that holds something else; it is never touched.
    #[error(
        "`{}` is not a laboratory: expected the file `lab.json` in it, found other things\n  help: \
         nothing was changed; name an empty or new folder with `--dir`", dir.display()
    )]
    NotALaboratory {
        /// The folder.
        dir: PathBuf,
    },
    /// Parts that have to be installed first.
    #[error("{}", missing_text(.0))]
    Missing(Vec<MissingPart>),
    /// A process of the laboratory did not do what it should.
    #[error("{name}: {what}{}", log_text(log))]
    Process {
        /// Name of the node, or `keeper`, `supervisor`.
        name: String,
        /// What was expected and what happened.
        what: String,
        /// Last lines of its output, where there are any.
        log: String,
    },
    /// No node of that name.
    #[error("no node `{name}` in this laboratory; there are: {known}")]
    UnknownNode {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The supervisor refused a request; its own words.
    #[error("{0}")]
    Refused(String),
    /// An argument that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A node answered with an error, or not at all.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl LabError {
    /// Wraps an I/O error with what was tried, and where.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LabError {
        move |source| LabError::Io { action, path: path.to_path_buf(), source }
    }
}

fn missing_text(parts: &[MissingPart]) -> String {
    let mut text = String::from("the laboratory lacks parts on this machine:");
    for part in parts {
        text.push_str(&format!("\n  - {part}"));
    }
    text.push_str("\n  help: `clickferry-lab install` fetches them with the machine's own package clients");
    text
}

fn log_text(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!("\n  last lines of its output:\n{}", indent(log)) }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
