//! Values of secret references: environment, files, commands.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use super::command::LocalCommands;
use super::redact::Redactor;
use crate::engine::ports::{Command, Commands, SecretError, Secrets};
use crate::model::secret::SecretRef;

/// How long a command may take to print a secret; password managers ask people.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// Reads secrets of this machine, each once per process.
pub struct LocalSecrets {
    base: PathBuf,
    redactor: Redactor,
    read: Mutex<Vec<(SecretRef, SecretString)>>,
}

impl LocalSecrets {
    /// Files and commands are relative to `base`; what is read is told to the redactor.
    #[must_use]
    pub fn new(base: &Path, redactor: Redactor) -> Self {
        Self { base: base.to_owned(), redactor, read: Mutex::new(Vec::new()) }
    }

    fn known(&self, reference: &SecretRef) -> Option<SecretString> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.iter().find(|(old, _)| old == reference).map(|(_, value)| value.clone())
    }

    async fn text(&self, reference: &SecretRef) -> Result<String, String> {
        match reference {
            SecretRef::Env(name) => match std::env::var(name) {
                Ok(value) => Ok(value),
                Err(std::env::VarError::NotPresent) => Err("it is not set".to_owned()),
                Err(std::env::VarError::NotUnicode(_)) => Err("it is not UTF-8".to_owned()),
            },
            SecretRef::File(path) => {
                let path = self.base.join(path);
                let content = tokio::fs::read(&path).await.map_err(|error| format!("{}: {error}", path.display()))?;
                String::from_utf8(content).map_err(|_| "it is not UTF-8".to_owned())
            }
            SecretRef::Command(words) => {
                let command = Command {
                    words: words.clone(),
                    directory: (!self.base.as_os_str().is_empty()).then(|| self.base.clone()),
                    timeout: COMMAND_TIMEOUT,
                    ..Command::default()
                };
                let output = LocalCommands.run(command).await?;
                // Its outputs are not shown: they may hold the secret.
                match output.code {
                    Some(0) => Ok(output.stdout),
                    Some(code) => Err(format!("it ended with exit code {code}; run it by hand to see why")),
                    None if output.timed_out => Err(format!("it did not end within {COMMAND_TIMEOUT:?}")),
                    None => Err("a signal ended it".to_owned()),
                }
            }
        }
    }
}

#[async_trait]
impl Secrets for LocalSecrets {
    async fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        if let Some(value) = self.known(reference) {
            return Ok(value);
        }
        let failed = |reason| SecretError { source_name: reference.describe(), reason };
        let mut text = self.text(reference).await.map_err(failed)?;
        if !matches!(reference, SecretRef::Env(_)) && text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        if text.is_empty() {
            return Err(failed("it is empty".to_owned()));
        }
        let value = SecretString::from(text);
        self.redactor.learn(&value);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.push((reference.clone(), value.clone()));
        Ok(value)
    }

    fn scrub(&self, text: &str) -> String {
        self.redactor.hide_everywhere(text)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    async fn read(base: &Path, reference: SecretRef) -> Result<String, String> {
        let secrets = LocalSecrets::new(base, Redactor::default());
        let value = secrets.resolve(&reference).await.map_err(|error| error.to_string())?;
        Ok(value.expose_secret().to_owned())
    }

    fn sh(script: &str) -> SecretRef {
        SecretRef::Command(["sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[tokio::test]
    async fn cuts_one_final_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        for (content, expected) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")] {
            std::fs::write(base.join("secret"), content).unwrap();
            assert_eq!(read(base, SecretRef::File("secret".to_owned())).await.unwrap(), expected);
            assert_eq!(read(base, sh("cat secret")).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn refuses_with_the_source_and_without_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        std::fs::write(base.join("empty"), "\n").unwrap();
        for (reference, expected) in [
            (SecretRef::Env("CLICKFERRY_NOT_SET".to_owned()), "it is not set"),
            (SecretRef::File("empty".to_owned()), "it is empty"),
            (SecretRef::File("missing".to_owned()), "No such file"),
            (sh("echo hunter2; exit 4"), "exit code 4"),
            (SecretRef::Command(vec![]), "no words"),
        ] {
            let source = reference.describe();
            let error = read(base, reference).await.unwrap_err();
            assert!(error.contains(expected) && error.contains(&source), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_command_runs_once() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = LocalSecrets::new(folder.path(), Redactor::default());
        let reference = sh("echo x >> count; wc -l < count");
        let first = secrets.resolve(&reference).await.unwrap();
        let second = secrets.resolve(&reference).await.unwrap();
        assert_eq!(first.expose_secret(), second.expose_secret());
    }
}
