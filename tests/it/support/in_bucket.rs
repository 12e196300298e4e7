//! Tests whose state lies in the laboratory's bucket, and engines that seem to run on another machine.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Output;
use super::engine::Engine;
use super::scene::Scene;

/// An environment file whose state is in the bucket, beside the one whose state is a folder.
pub const IN_BUCKET: &str = "bucket.yaml";

impl Scene {
    /// The state of the test lies in the bucket from now on.
    pub fn with_state_in_bucket(self) -> Self {
        self.write_bucket_environment();
        self.environment(|text| self.in_bucket(&text));
        self.is_in_bucket.set(true);
        self
    }

    /// Writes [`IN_BUCKET`]; the state of the test stays where it is.
    pub fn write_bucket_environment(&self) {
        let text = std::fs::read_to_string(self.test.path().join("environment.yaml")).unwrap();
        self.test.write(IN_BUCKET, &self.in_bucket(&text));
    }

    fn in_bucket(&self, text: &str) -> String {
        let secret = |name: &str| format!("{{ file: {} }}", self.lab.dir().join("secrets").join(name).display());
        let (access, key) = (secret("s3-access-key"), secret("s3-secret-key"));
        let binding = format!(
            "state:\n  s3:\n    endpoint: \"{}\"\n    bucket: {}\n    prefix: {}\n    credentials: {{ access_key: {access}, secret_key: {key} }}\n",
            self.lab.s3_endpoint(),
            self.lab.bucket(),
            self.state_prefix(),
        );
        text.replace("state: { directory: state }\n", &binding)
    }

    /// As [`Scene::filters`], for what tells of holders and places.
    pub fn more_filters(&self) -> (insta::internals::SettingsBindDropGuard, insta::internals::SettingsBindDropGuard) {
        let first = self.filters();
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(r"(owner +|by )\S+@\S+", "${1}USER@HOST");
        settings.add_filter(r"(process +)\d+", "${1}PID");
        settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "WHEN");
        let second = settings.bind_to_scope();
        // Dropped in this order: the inner scope first.
        (second, first)
    }

    /// Where the state lies in the bucket.
    pub fn state_prefix(&self) -> String {
        format!("{}-state", self.database)
    }

    /// The state in the bucket, as the laboratory keeps it.
    pub fn bucket_state(&self) -> PathBuf {
        self.lab.dir().join("s3").join(self.lab.bucket()).join(self.state_prefix())
    }

    /// The binary in a process namespace of its own: to the engine, that is another machine.
    fn command_elsewhere(&self, arguments: &[&str]) -> Command {
        let inner = self.test.command(arguments);
        let mut outer = Command::new("unshare");
        outer.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child"]);
        outer.arg(inner.get_program()).args(inner.get_args()).current_dir(self.test.path()).stdin(Stdio::null());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        outer
    }

    /// Runs the binary as if on another machine.
    pub fn cli_elsewhere(&self, arguments: &[&str]) -> Output {
        let output = self.command_elsewhere(arguments).output().unwrap();
        let output = Output {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        self.holds_no_secret("the output", &output.to_string());
        output
    }

    /// Starts the binary as if on another machine.
    pub fn start_elsewhere(&self, arguments: &[&str]) -> Engine {
        Engine::spawn(self, self.command_elsewhere(arguments))
    }
}
