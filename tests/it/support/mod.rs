//! What every test uses: a folder of its own, the real binary, full output in a form that snapshots can hold.

pub mod asked;
pub mod bucket;
pub mod cases;
#[cfg(feature = "otel")]
pub mod collector;
pub mod cutter;
pub mod drift;
pub mod end_state;
pub mod engine;
pub mod evidence;
pub mod exchange;
pub mod in_bucket;
pub mod keeper;
pub mod keeper_cutter;
pub mod lab;
pub mod large_plan;
pub mod model;
pub mod node_log;
pub mod outside;
pub mod proof;
pub mod proxy;
pub mod round;
pub mod scene;
pub mod sent;
pub mod states;
pub mod terminal;

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of its own with files for one test, and the binary run in it.
pub struct TestEnvironment {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// How a command ended.
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl TestEnvironment {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the test.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The command, ready to be started: no colours, 100 columns, nobody at the terminal.
    pub fn command(&self, arguments: &[&str]) -> Command {
        // Under `nohup` a closed terminal would be ignored.
        let mut command = Command::new("/usr/bin/env");
        command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_clickferry")]);
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("CLICKFERRY_ENVIRONMENT")
            .env_remove("CLICKFERRY_STATE")
            .env("NO_COLOR", "1")
            .env("COLUMNS", "100")
            .stdin(Stdio::null());
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }

    /// The same command behind a shell script that prepares the machine for it in a mount namespace of its own and
    /// ends with `exec "$@"`.
    pub fn command_within(&self, script: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        let mut outer = Command::new("unshare");
        outer.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script, "sh"]);
        outer.arg(command.get_program()).args(command.get_args()).current_dir(self.path()).stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        command = outer;
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        Self::output_of(self.command(arguments))
    }

    pub fn run_within(&self, script: &str, arguments: &[&str]) -> Output {
        Self::output_of(self.command_within(script, arguments))
    }

    fn output_of(mut command: Command) -> Output {
        let output = command.output().unwrap();
        Output {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Output {
    /// The whole output without the plan that `apply` shows first.
    pub fn after_the_plan(&self) -> String {
        let whole = self.to_string();
        let Some((before, plan)) = whole.split_once("Plan of ") else { return whole };
        let (_, after) = plan.split_once("\nDigest ").and_then(|(_, rest)| rest.split_once('\n')).unwrap();
        format!("{before}{after}")
    }
}

/// The whole output, for snapshots.
impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "exit {}", self.code.map_or("by signal".to_owned(), |code| code.to_string()))?;
        if !self.stdout.is_empty() {
            write!(f, "--- stdout\n{}", self.stdout)?;
        }
        if !self.stderr.is_empty() {
            write!(f, "--- stderr\n{}", self.stderr)?;
        }
        Ok(())
    }
}

/// Fails when a value does not fit one of the published schemas.
pub fn fits_schema(name: &str, value: &serde_json::Value) {
    let text = std::fs::read_to_string(root().join("schemas").join(name)).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
}

/// Root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Adds a line to a file of `target/torture`, which `make torture` shows.
pub fn write_down(file: &str, line: &str) {
    let folder = root().join("target/torture");
    std::fs::create_dir_all(&folder).unwrap();
    let mut file = OpenOptions::new().create(true).append(true).open(folder.join(file)).unwrap();
    writeln!(file, "{line}").unwrap();
}

/// A number that the caller of `make torture` may give; 1 where it does not.
pub fn knob(name: &str) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// What a round that failed has to say.
pub fn caught<T>(round: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(round)).map_err(|panic| {
        let short = || panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        panic.downcast_ref::<String>().cloned().or_else(short).unwrap_or_default()
    })
}
