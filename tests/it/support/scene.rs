//! A test on a laboratory: a database of its own, an environment file that names its hosts by it, a state folder,
//! and the binary run on all of that.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;

use clickferry_lab::{FaultKind, HttpError, Lab, S3Fault, SeedSettings, StatementRecord};

use super::engine::Engine;
use super::lab::{LabInUse, NODES, files_below};
use super::node_log;
use super::{Output, TestEnvironment, root};

/// One test on a laboratory.
pub struct Scene {
    pub test: TestEnvironment,
    pub lab: Rc<LabInUse>,
    /// The database of the test; also the beginning of its hosts' names and of its paths in the bucket.
    pub database: String,
    /// Bytes of each node's log of statements that came before the scene.
    beginning: [u64; 3],
    /// Bytes of each node's log of statements that came before what is looked at.
    marks: RefCell<[u64; 3]>,
    is_slow: Cell<bool>,
    /// Whether the state lies in the bucket, too.
    pub(super) is_in_bucket: Cell<bool>,
}

impl Scene {
    /// On a shared laboratory that stays whole.
    pub fn new(name: &str) -> Self {
        Self::on(Rc::new(LabInUse::shared()), name, [0; 3])
    }

    /// On a laboratory of its own, for tests that break parts of it.
    pub fn alone(name: &str) -> Self {
        Self::on(Rc::new(LabInUse::own()), name, [0; 3])
    }

    fn on(lab: Rc<LabInUse>, name: &str, beginning: [u64; 3]) -> Self {
        let (test, database) = (TestEnvironment::new(), lab.fresh_database(name));
        let scene = Self {
            test,
            lab,
            database,
            beginning,
            marks: RefCell::default(),
            is_slow: Cell::default(),
            is_in_bucket: Cell::default(),
        };
        scene.environment(|text| text);
        scene.mark();
        scene
    }

    /// The next part of a test: everything new but the laboratory.
    pub fn next(&self, name: &str) -> Self {
        Self::on(Rc::clone(&self.lab), name, node_log::ends(&self.lab))
    }

    /// Like a tracing product's database: tables, views, a dictionary, migrations.
    pub fn with_tracing(self, rows: u64) -> Self {
        self.seed(&SeedSettings { database: self.database.clone(), rows, ..SeedSettings::default() });
        self
    }

    /// Fills the database of the standalone node.
    pub fn seed(&self, settings: &SeedSettings) {
        self.lab.seed_tracing("standalone", settings).unwrap();
        self.mark();
    }

    /// Three tables and a view with a hidden one: little, for tests that move it many times.
    pub fn with_orders(self) -> Self {
        for statement in [
            "CREATE DATABASE {db}",
            "CREATE TABLE {db}.orders (id UInt64, day Date, amount Decimal(12, 2), note String) ENGINE = MergeTree PARTITION BY toYYYYMM(day) ORDER BY id",
            "CREATE TABLE {db}.customers (id UInt64, name String, version UInt32) ENGINE = ReplacingMergeTree(version) ORDER BY id",
            "CREATE MATERIALIZED VIEW {db}.daily ENGINE = SummingMergeTree ORDER BY day AS SELECT day, count() AS orders FROM {db}.orders GROUP BY day",
            "CREATE TABLE {db}.schema_migrations (version Int64, dirty UInt8, sequence UInt64) ENGINE = TinyLog",
            "INSERT INTO {db}.orders SELECT number, toDate('2026-01-01') + number % 90, number / 7, repeat('x', number % 50) FROM numbers(3000)",
            "INSERT INTO {db}.customers SELECT number, concat('c', toString(number)), 1 FROM numbers(100)",
            "INSERT INTO {db}.schema_migrations VALUES (1, 1, 10), (1, 0, 11), (2, 1, 12)",
        ] {
            self.on_node("standalone", statement);
        }
        self.mark();
        self
    }

    /// Runs a statement on a node; `{db}` stands for the test's database.
    pub fn on_node(&self, node: &str, sql: &str) -> String {
        self.try_on_node(node, sql).unwrap_or_else(|error| panic!("{node}: {sql}: {error}"))
    }

    /// The same, where it may fail.
    pub fn try_on_node(&self, node: &str, sql: &str) -> Result<String, HttpError> {
        self.lab.query(node, &sql.replace("{db}", &self.database)).map(|text| text.trim_end().to_owned())
    }

    /// Writes the environment file again, changed.
    pub fn environment(&self, change: impl FnOnce(String) -> String) {
        let (name, lab): (_, &Lab) = (&self.database, &self.lab);
        let file = |secret: &str| format!("{{ file: {} }}", lab.dir().join("secrets").join(secret).display());
        let host =
            |short: &str, node: &str| format!("{{ name: {name}-{short}, url: \"{}\" }}", lab.node(node).unwrap().url);
        let credentials = format!("credentials: {{ user: {}, password: {} }}", lab.user(), file("clickhouse-password"));
        let mut text =
            format!("apiVersion: clickferry/v1\nkind: Environment\nmetadata: {{ name: {name} }}\ntargets:\n");
        for role in ["source", "server"] {
            text += &format!("  {role}:\n    hosts: [{}]\n    {credentials}\n", host("sa", "standalone"));
        }
        for role in ["destination", "cluster"] {
            let hosts = format!("{}, {}", host("r1", "replica1"), host("r2", "replica2"));
            text += &format!(
                "  {role}:\n    hosts: [{hosts}]\n    keeper: {{ hosts: [\"{}\"] }}\n    {credentials}\n",
                lab.keeper_address()
            );
        }
        text += &format!(
            "storage:\n  backups:\n    s3:\n      endpoint: \"{}\"\n      bucket: {}\n      prefix: {name}\n      credentials: {{ access_key: {}, secret_key: {} }}\nstate: {{ directory: state }}\n",
            lab.s3_endpoint(),
            lab.bucket(),
            file("s3-access-key"),
            file("s3-secret-key"),
        );
        self.test.write("environment.yaml", &change(text));
    }

    /// Writes a bundled runbook, changed, and returns its name.
    pub fn runbook(&self, name: &str, change: impl FnOnce(String) -> String) -> String {
        let file = format!("{name}.yaml");
        self.test.write(&file, &change(std::fs::read_to_string(root().join("runbooks").join(&file)).unwrap()));
        file
    }

    /// Writes a runbook with these steps, for the roles of the laboratory, and returns its name.
    pub fn steps(&self, steps: &str) -> String {
        let head = "apiVersion: clickferry/v1\nkind: Runbook\nmetadata: { name: steps }\nparameters:\n  database: { type: identifier }\n\
             targets:\n  source: { topology: standalone }\n  destination: { topology: replicated }\nsteps:\n";
        self.test.write("steps.yaml", &format!("{head}{}", steps.replace("{db}", &self.database)));
        "steps.yaml".to_owned()
    }

    /// Runs the binary with the test's environment; no secret may be in its output.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        let output = self.test.run(&self.with_environment(arguments));
        self.holds_no_secret("the output", &output.to_string());
        output
    }

    /// Runs the binary until it passes a point of this name (`src/cli/torture.rs`), where it kills itself.
    #[cfg(feature = "torture")]
    pub fn killed_at(&self, point: &str, arguments: &[&str]) {
        let mut command = self.test.command(&self.with_environment(arguments));
        let output = command.env("CLICKFERRY_TORTURE_KILL_AT", point).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), None, "it did not come to `{point}`: {told}");
    }

    /// Starts the binary and goes on.
    pub fn start(&self, arguments: &[&str]) -> Engine {
        Engine::start(self, &self.with_environment(arguments))
    }

    /// Runs the binary behind a script, in a mount namespace of its own.
    pub fn cli_within(&self, script: &str, arguments: &[&str]) -> Output {
        self.test.run_within(script, &self.with_environment(arguments))
    }

    fn with_environment<'a>(&self, arguments: &[&'a str]) -> Vec<&'a str> {
        let mut all = arguments.to_vec();
        all.extend(["-e", "environment.yaml"]);
        all
    }

    /// Every answer of the bucket comes late, so that backups and restores take long enough to be disturbed.
    pub fn slow_bucket(self) -> Self {
        self.lab.fault_s3(S3Fault::new(FaultKind::DelayMs(40))).unwrap();
        self.is_slow.set(true);
        self
    }

    /// The bucket is so slow that only a statement that is stopped ends soon.
    pub fn very_slow_bucket(&self) {
        self.lab.fault_s3(S3Fault::new(FaultKind::DelayMs(400))).unwrap();
        self.is_slow.set(true);
    }

    /// The bucket answers at once again.
    pub fn quick_bucket(&self) {
        if self.is_slow.take() {
            self.lab.fault_s3_off().unwrap();
        }
    }

    /// The bundled move of the test's database, planned and started with consent.
    pub fn start_move(&self) -> Engine {
        let runbook = self.runbook("standalone-to-replicated", |text| text);
        let digest = self.plan(&runbook, &["-p", "migration=2"]);
        self.start(&["apply", "plan.json", "--consent", &digest])
    }

    /// Saves the plan of a runbook and returns the digest to consent with.
    pub fn plan(&self, runbook: &str, parameters: &[&str]) -> String {
        let mut arguments = vec!["plan", runbook, "-o", "plan.json"];
        let database = format!("database={}", self.database);
        arguments.extend(["-p", &database]);
        arguments.extend(parameters);
        let output = self.cli(&arguments);
        assert!(matches!(output.code, Some(0 | 2)), "{output}");
        let plan: serde_json::Value =
            serde_json::from_slice(&std::fs::read(self.test.path().join("plan.json")).unwrap()).unwrap();
        plan["digest"].as_str().unwrap()[..12].to_owned()
    }

    /// Plans, then applies exactly that plan with consent for it.
    pub fn apply(&self, runbook: &str, parameters: &[&str]) -> Output {
        let digest = self.plan(runbook, parameters);
        self.cli(&["apply", "plan.json", "--consent", &digest])
    }

    /// The state folder, or what the laboratory keeps for a state in the bucket.
    pub fn state(&self) -> PathBuf {
        if self.is_in_bucket.get() { self.bucket_state() } else { self.test.path().join("state") }
    }

    /// Folders of the runs, oldest first.
    pub fn runs(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.state().join("runs")) else { return Vec::new() };
        let mut runs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        runs.sort();
        runs
    }

    /// Everything the nodes do from now on is looked at; what was before is not.
    pub fn mark(&self) {
        *self.marks.borrow_mut() = node_log::ends(&self.lab);
    }

    /// The lines of the changing statements since the mark, with their nodes: one at the start, one at the end.
    pub fn change_lines(&self) -> Vec<(&'static str, StatementRecord)> {
        self.records().into_iter().filter(|(_, record)| record.kind == "change").collect()
    }

    /// The first lines of the changing statements since the mark, with their nodes.
    pub fn changes(&self) -> Vec<(&'static str, StatementRecord)> {
        self.change_lines().into_iter().filter(|(_, record)| record.is_start()).collect()
    }

    /// The first lines of all statements since the mark, with their nodes.
    pub fn starts(&self) -> Vec<(&'static str, StatementRecord)> {
        self.records().into_iter().filter(|(_, record)| record.is_start()).collect()
    }

    /// The last lines of all statements since the mark, with their nodes.
    pub fn ends(&self) -> Vec<(&'static str, StatementRecord)> {
        self.records().into_iter().filter(|(_, record)| !record.is_start()).collect()
    }

    fn records(&self) -> Vec<(&'static str, StatementRecord)> {
        node_log::since(&self.lab, *self.marks.borrow())
    }

    /// Waits until the nodes are through with what they were sent since the mark, as after an engine was killed.
    pub fn is_quiet(&self) {
        super::lab::wait_until("the end of what the nodes work on", || {
            // Behind this question stands no request whose bytes had arrived before it.
            NODES.iter().for_each(|node| drop(self.on_node(node, "SELECT 1")));
            self.starts().len() == self.ends().len()
        });
    }

    /// No node was asked to change anything since the mark.
    pub fn nothing_changed(&self) {
        let changes: Vec<String> =
            self.changes().into_iter().map(|(node, record)| format!("{node}: {}", record.statement)).collect();
        assert!(changes.is_empty(), "{changes:#?}");
    }

    /// While it lives, snapshots hold names in the place of everything that differs from run to run.
    pub fn filters(&self) -> insta::internals::SettingsBindDropGuard {
        let mut settings = insta::Settings::clone_current();
        let folders = [(self.test.path(), "FOLDER"), (self.lab.dir(), "LAB")];
        for (path, name) in folders {
            settings.add_filter(&path.display().to_string(), name);
        }
        for node in self.lab.nodes() {
            settings.add_filter(node.url.strip_prefix("http://").unwrap(), node.name.to_uppercase());
        }
        settings.add_filter(self.lab.s3_endpoint().strip_prefix("http://").unwrap(), "S3");
        settings.add_filter(&self.lab.keeper_address(), "KEEPER");
        settings.add_filter(r"127\.0\.0\.1:\d{4,5}", "ADDRESS");
        settings.add_filter(&self.database, "DB");
        settings.add_filter(r"\d{8}-\d{6}-[0-9a-f]{4}", "RUN");
        settings.add_filter(r"of \S+@\S+", "of USER@HOST");
        settings.add_filter(r"\(pid \d+\)", "(pid PID)");
        settings.add_filter(r"column \d+", "column N");
        settings.add_filter(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID");
        settings.add_filter(r"\b[0-9a-f]{64}\b", "SHA256");
        settings.add_filter(r"\b[0-9a-f]{12}\b", "DIGEST");
        settings.add_filter(r"\d{4}-\d\d-\d\d(T[0-9:.]+Z| \d\d:\d\d:\d\d( UTC)?)", "WHEN");
        settings.add_filter(r"\d{4}-\d\d-\d\d_\d{6}", "STARTED");
        settings.add_filter(r"\b\d+(\.\d+)? (ms|s|min)\b", "TIME");
        settings.add_filter(r"\b\d+(\.\d+)? (B|KiB|MiB)\b", "SIZE");
        settings.bind_to_scope()
    }

    /// Fails when a text holds a secret of the laboratory.
    pub fn holds_no_secret(&self, what: &str, text: &str) {
        let (access_key, secret_key) = self.lab.s3_keys();
        for secret in [self.lab.password(), access_key, secret_key] {
            assert!(!text.contains(secret), "{what} holds a secret:\n{text}");
        }
    }

    /// Fails when a file of the state or a log of a node holds a secret.
    pub fn no_secret_is_anywhere(&self) {
        let mut files = files_below(&self.state());
        files.push(self.test.path().join("plan.json"));
        for node in NODES {
            let folder = self.lab.node(node).unwrap().dir;
            files.push(folder.join("output.log"));
        }
        for (node, begin) in NODES.into_iter().zip(self.beginning) {
            self.holds_no_secret("the log of statements", &node_log::text(&self.lab, node, begin));
        }
        for file in files.iter().filter(|file| file.exists()) {
            self.holds_no_secret(&file.display().to_string(), &String::from_utf8_lossy(&std::fs::read(file).unwrap()));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.quick_bucket();
        if !std::thread::panicking() {
            self.no_secret_is_anywhere();
        }
    }
}
