//! The library face for tests: start once, share, and give each test names of its own.

mod bound;
mod names;
mod statements;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::control::{self, Request, Response};
use crate::error::LabError;
use crate::http::{Client, HttpError};
use crate::layout::Layout;
use crate::options::Options;
use crate::s3::faults::S3Fault;
use crate::seed::{self, Seeded, Settings};
use crate::state::{BUCKET, LabState, READER, USER};
use crate::status::StatusReport;
use crate::{files, launch};

pub use statements::StatementRecord;

/// A laboratory of a test or program. It ends when the value is dropped, and also when the process that
/// holds it ends in any way, `kill -9` included.
///
/// All methods block; none needs a runtime.
#[derive(Debug)]
pub struct Lab {
    layout: Layout,
    state: LabState,
    secrets: Secrets,
    /// Ends the laboratory when it is dropped.
    _supervisor: bound::Supervisor,
}

struct Secrets {
    password: String,
    access_key: String,
    secret_key: String,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// `standalone`, `replica1`, ...
    pub name: String,
    /// HTTP interface, like `http://127.0.0.1:18130`.
    pub url: String,
    /// Port of the HTTP interface.
    pub http_port: u16,
    /// Port of the native protocol; real servers only.
    pub tcp_port: Option<u16>,
    /// `{shard}` macro; absent on the standalone node.
    pub shard: Option<String>,
    /// Folder of the node.
    pub dir: PathBuf,
}

impl Lab {
    /// The laboratory that all tests of one process share: standalone, two replicas, Keeper, S3.
    ///
    /// # Panics
    /// When it cannot start; a test has nothing else to do then, and the message says what is missing.
    #[allow(clippy::panic, reason = "a test without its laboratory can only fail, with the reason")]
    pub fn shared() -> &'static Lab {
        static SHARED: OnceLock<Lab> = OnceLock::new();
        SHARED.get_or_init(|| match Lab::start(Options::default()) {
            Ok(lab) => lab,
            Err(error) => panic!("the laboratory did not start: {error}"),
        })
    }

    /// Starts a laboratory; returns when everything serves.
    pub fn start(options: Options) -> Result<Lab, LabError> {
        let binary = bound::find_binary(options.binary.as_deref())?;
        let layout = Layout::new(bound::folder(options.dir.as_deref())?);
        let supervisor = bound::Supervisor::start(&binary, &layout, &options.size, &options.parts)?;
        let state = LabState::read(&layout)?.ok_or_else(|| LabError::NotRunning { dir: layout.dir().to_path_buf() })?;
        let secrets = Secrets {
            password: files::read_text(&layout.password())?,
            access_key: files::read_text(&layout.access_key())?,
            secret_key: files::read_text(&layout.secret_key())?,
        };
        Ok(Lab { layout, state, secrets, _supervisor: supervisor })
    }

    /// Ends the laboratory and waits until nothing is left; dropping it does the same.
    pub fn down(self) {}

    /// Folder of the laboratory.
    pub fn dir(&self) -> &Path {
        self.layout.dir()
    }

    /// What `clickferry -e` takes.
    pub fn environment_file(&self) -> PathBuf {
        self.layout.environment()
    }

    /// All nodes, the standalone one first.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        self.state.nodes.iter().map(|node| self.info(node)).collect()
    }

    /// One node.
    pub fn node(&self, name: &str) -> Result<NodeInfo, LabError> {
        let found = self.state.nodes.iter().find(|node| node.name == name);
        found.map(|node| self.info(node)).ok_or_else(|| LabError::UnknownNode {
            name: name.to_owned(),
            known: self.state.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    fn info(&self, node: &crate::state::NodeState) -> NodeInfo {
        NodeInfo {
            name: node.name.clone(),
            url: node.url(),
            http_port: node.http_port,
            tcp_port: node.tcp_port,
            shard: node.shard.clone(),
            dir: self.layout.node(&node.name),
        }
    }

    /// Runs a statement on a node and returns its result (TSV unless it names a format).
    pub fn query(&self, node: &str, sql: &str) -> Result<String, HttpError> {
        self.client(node)?.query(sql)
    }

    /// Runs a statement on a node with a current database.
    pub fn query_in(&self, node: &str, database: &str, sql: &str) -> Result<String, HttpError> {
        self.client(node)?.query_in(database, sql)
    }

    fn client(&self, node: &str) -> Result<Client, HttpError> {
        launch::client(&self.layout, &self.state, node).map_err(|error| HttpError {
            url: node.to_owned(),
            code: 0,
            status: 0,
            message: error.to_string(),
        })
    }

    /// The user of every node.
    pub fn user(&self) -> &str {
        USER
    }

    /// A user of every node who may only read, with the same password.
    pub fn reader(&self) -> &str {
        READER
    }

    /// The password of these users.
    pub fn password(&self) -> &str {
        &self.secrets.password
    }

    /// Address of the S3 endpoint.
    pub fn s3_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.state.s3_port)
    }

    /// The bucket that is there from the start.
    pub fn bucket(&self) -> &str {
        BUCKET
    }

    /// Access key and secret key of the bucket.
    pub fn s3_keys(&self) -> (&str, &str) {
        (&self.secrets.access_key, &self.secrets.secret_key)
    }

    /// `host:port` of Keeper.
    pub fn keeper_address(&self) -> String {
        format!("127.0.0.1:{}", self.state.keeper.port)
    }

    /// Process of the supervisor.
    pub fn supervisor_pid(&self) -> i32 {
        self.state.supervisor.pid
    }

    /// What there is and how it is.
    pub fn status(&self) -> Result<StatusReport, LabError> {
        match control::ask(&self.layout, &Request::Status)? {
            Response::Status(report) => Ok(*report),
            other => Err(LabError::Invalid(format!("expected a status from the supervisor, got {other:?}"))),
        }
    }

    /// SIGKILL to a node or `keeper`; returns when it is gone.
    pub fn kill(&self, node: &str) -> Result<(), LabError> {
        self.ask(Request::Kill { node: node.to_owned() })
    }

    /// SIGTERM to a node or `keeper`; returns when it is gone.
    pub fn stop(&self, node: &str) -> Result<(), LabError> {
        self.ask(Request::Stop { node: node.to_owned() })
    }

    /// Starts a node or `keeper` again on its old data; returns when it serves.
    pub fn start_node(&self, node: &str) -> Result<(), LabError> {
        self.ask(Request::Start { node: node.to_owned() })
    }

    /// SIGSTOP to a node or `keeper`.
    pub fn pause(&self, node: &str) -> Result<(), LabError> {
        self.ask(Request::Pause { node: node.to_owned() })
    }

    /// SIGCONT to a node or `keeper`.
    pub fn resume(&self, node: &str) -> Result<(), LabError> {
        self.ask(Request::Resume { node: node.to_owned() })
    }

    /// Makes the S3 endpoint fail. It is one switch for all tests that share the laboratory.
    pub fn fault_s3(&self, fault: S3Fault) -> Result<(), LabError> {
        self.ask(Request::FaultS3 { fault: Some(fault) })
    }

    /// Ends the fault of the S3 endpoint.
    pub fn fault_s3_off(&self) -> Result<(), LabError> {
        self.ask(Request::FaultS3 { fault: None })
    }

    fn ask(&self, request: Request) -> Result<(), LabError> {
        control::ask(&self.layout, &request).map(drop)
    }

    /// The statements a node has seen so far, oldest first (embedded engine).
    pub fn statements(&self, node: &str) -> Result<Vec<StatementRecord>, LabError> {
        statements::read(&self.node(node)?.dir.join("statements.jsonl"))
    }

    /// Fills a node with the tracing data set.
    pub fn seed_tracing(&self, node: &str, settings: &Settings) -> Result<Seeded, LabError> {
        let client = launch::client(&self.layout, &self.state, node)?;
        seed::tracing(&client, settings, &mut |_| ())
    }

    /// A database name that no other test has; the database is not created.
    pub fn fresh_database(&self, prefix: &str) -> String {
        names::fresh(prefix, '_')
    }

    /// A prefix in the bucket that no other test has, without a slash at its end.
    pub fn fresh_prefix(&self, prefix: &str) -> String {
        names::fresh(prefix, '-')
    }

    /// A Keeper path that no other test has; the node is not created.
    pub fn fresh_keeper_path(&self, prefix: &str) -> String {
        format!("/clickhouse/test/{}", names::fresh(prefix, '-'))
    }
}
