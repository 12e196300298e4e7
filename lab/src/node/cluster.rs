//! ON CLUSTER: libchdb has no worker for distributed DDL, so the node that is asked runs the statement on every host
//! over HTTP, with the credentials of the request, and answers with the rows a server would.
//!
//! As on a server, ALTER, OPTIMIZE and TRUNCATE of a replicated table run on one replica of each shard, since they
//! replicate themselves, and a table of an Atomic database gets the same UUID everywhere. Other than on a server, a
//! host that is down does not run the statement later: the error names it at once.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::Request as HttpRequest;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::runtime::Handle;

use crate::config::{ClusterConfig, Endpoint};

use super::Node;
use super::engine::{EngineError, Lease};
use super::http::Request;
use super::random;
use super::sql::{Statement, quote_string};

/// What a host answered.
struct HostResult {
    host: Endpoint,
    outcome: Result<(), Failure>,
}

#[derive(Clone)]
enum Failure {
    /// The statement failed there.
    Statement(EngineError),
    /// The host did not answer.
    Host(String),
}

/// How the answer is given, `distributed_ddl_output_mode`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Throw,
    NoRows,
    NeverThrow,
    NullOnTimeout,
}

/// Runs `local`, the statement without ON CLUSTER, on all hosts; returns the rows in the format asked for.
pub fn run(
    node: &Node,
    request: &Request,
    lease: &mut Lease,
    statement: &Statement,
    cluster: &str,
    local: &str,
) -> Result<Vec<u8>, EngineError> {
    let cluster = node.config.clusters.iter().find(|known| known.name == cluster).ok_or_else(|| {
        EngineError::new(701, "CLUSTER_DOESNT_EXIST", format!("Requested cluster '{cluster}' not found"))
    })?;
    if statement.begins_with(&["BACKUP"]) || statement.begins_with(&["RESTORE"]) {
        let text = "BACKUP and RESTORE ON CLUSTER are not available in the laboratory: they need the hosts to agree";
        return Err(EngineError::new(48, "NOT_IMPLEMENTED", text));
    }
    let mode = mode(request)?;
    let timeout = timeout(request);
    let local = with_uuid(lease, statement, local);
    let once_per_shard = replicates_itself(lease, &Statement::new(&local));
    let runtime = Handle::current();
    let results = runtime.block_on(on_all(request, cluster, &local, timeout, once_per_shard));
    let format = statement.format().unwrap_or_else(|| request.default_format.clone());
    answer(&format, lease, mode, timeout, &results)
}

fn mode(request: &Request) -> Result<Mode, EngineError> {
    match request.setting("distributed_ddl_output_mode").unwrap_or("throw") {
        "throw" | "throw_only_active" => Ok(Mode::Throw),
        "none" | "none_only_active" => Ok(Mode::NoRows),
        "never_throw" => Ok(Mode::NeverThrow),
        "null_status_on_timeout" | "null_status_on_timeout_only_active" => Ok(Mode::NullOnTimeout),
        other => Err(EngineError::new(
            36,
            "BAD_ARGUMENTS",
            format!("Unexpected value of DistributedDDLOutputMode: '{other}'"),
        )),
    }
}

/// `distributed_ddl_task_timeout`; negative is without end.
fn timeout(request: &Request) -> Option<Duration> {
    const DEFAULT: i64 = 180;
    let seconds = request.setting("distributed_ddl_task_timeout").and_then(|text| text.parse().ok()).unwrap_or(DEFAULT);
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// Names the UUID of a new table, so that all hosts agree on it and on `{uuid}` in a replica's path.
fn with_uuid(lease: &mut Lease, statement: &Statement, local: &str) -> String {
    let rewritten = Statement::new(local);
    if !statement.begins_with(&["CREATE", "TABLE"]) || rewritten.contains_any(&["UUID"]) {
        return local.to_owned();
    }
    let Some((database, _)) = rewritten.table_after(2) else { return local.to_owned() };
    let database = database.map_or("currentDatabase()".to_owned(), |name| quote_string(&name));
    let engine = lease.connection.rows(&format!("SELECT engine FROM system.databases WHERE name = {database}"));
    match engine {
        Ok(rows) if rows.concat() == ["Atomic"] => rewritten.with_table_uuid(2, &random::uuid()),
        _ => local.to_owned(),
    }
}

/// Whether one replica of each shard is enough.
fn replicates_itself(lease: &mut Lease, local: &Statement) -> bool {
    let of_table = ["ALTER", "OPTIMIZE", "TRUNCATE"].iter().any(|word| local.begins_with(&[word, "TABLE"]));
    // These are about the files or the settings of one host.
    let of_host = local.contains_any(&["FREEZE", "UNFREEZE", "SETTING", "RESET", "MOVE", "FETCH"]);
    let Some((database, table)) = local.table_after(2).filter(|_| of_table && !of_host) else { return false };
    let database = database.map_or("currentDatabase()".to_owned(), |name| quote_string(&name));
    let engine = lease.connection.rows(&format!(
        "SELECT engine FROM system.tables WHERE database = {database} AND name = {}",
        quote_string(&table)
    ));
    engine.is_ok_and(|rows| rows.concat().iter().any(|engine| engine.starts_with("Replicated")))
}

async fn on_all(
    request: &Request,
    cluster: &ClusterConfig,
    local: &str,
    timeout: Option<Duration>,
    once_per_shard: bool,
) -> Vec<HostResult> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let one = |host: Endpoint| {
        let client = &client;
        async move {
            let answer = ask(client, request, &host, local);
            let outcome = match timeout {
                None => answer.await,
                Some(limit) => match tokio::time::timeout(limit, answer).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(Failure::Host(format!("no answer within {} seconds", limit.as_secs()))),
                },
            };
            HostResult { host, outcome }
        }
    };
    if !once_per_shard {
        return join_all(cluster.shards.iter().flatten().cloned().map(one)).await;
    }
    let mut results = Vec::new();
    for shard in &cluster.shards {
        // The first host that answers speaks for its shard.
        let mut spoken: Option<Result<(), Failure>> = None;
        for host in shard {
            let result = match &spoken {
                Some(outcome @ (Ok(()) | Err(Failure::Statement(_)))) => {
                    HostResult { host: host.clone(), outcome: outcome.clone() }
                }
                _ => one(host.clone()).await,
            };
            spoken = Some(result.outcome.clone());
            results.push(result);
        }
    }
    results
}

async fn ask(
    client: &Client<HttpConnector, Full<Bytes>>,
    request: &Request,
    host: &Endpoint,
    local: &str,
) -> Result<(), Failure> {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut url = format!("http://{}:{}/?wait_end_of_query=1", host.host, host.port);
    let parameters = request.parameters.iter().map(|(name, value)| (format!("param_{name}"), value));
    let database = request.database.iter().map(|name| ("database".to_owned(), name));
    let settings = request.settings.iter().map(|(name, value)| (name.clone(), value));
    for (name, value) in parameters.chain(database).chain(settings) {
        url.push_str(&format!("&{}={}", encode(&name), encode(value)));
    }
    let lost = |error: &dyn std::error::Error| {
        let cause = std::iter::successors(error.source(), |cause| cause.source()).last();
        Failure::Host(cause.map_or_else(|| error.to_string(), ToString::to_string))
    };
    let message = HttpRequest::post(url)
        .header("X-ClickHouse-User", &request.credentials.user)
        .header("X-ClickHouse-Key", &request.credentials.password)
        .body(Full::new(Bytes::from(local.to_owned())))
        .map_err(|error| Failure::Host(error.to_string()))?;
    let response = client.request(message).await.map_err(|error| lost(&error))?;
    if response.status().is_success() {
        return Ok(());
    }
    let body = response.into_body().collect().await.map_err(|error| lost(&error))?.to_bytes();
    Err(Failure::Statement(EngineError::parse(&String::from_utf8_lossy(&body))))
}

fn answer(
    format: &str,
    lease: &mut Lease,
    mode: Mode,
    timeout: Option<Duration>,
    results: &[HostResult],
) -> Result<Vec<u8>, EngineError> {
    if matches!(mode, Mode::Throw | Mode::NoRows)
        && let Some((host, error)) = results.iter().find_map(|r| match &r.outcome {
            Err(Failure::Statement(error)) => Some((&r.host, error)),
            _ => None,
        })
    {
        let text = format!("There was an error on [{}:{}]: {error}", host.host, host.port);
        return Err(EngineError::new(error.code, &error.name, text));
    }
    let silent: Vec<String> = results
        .iter()
        .filter_map(|r| match &r.outcome {
            Err(Failure::Host(reason)) => Some(format!("{}:{} ({reason})", r.host.host, r.host.port)),
            _ => None,
        })
        .collect();
    if matches!(mode, Mode::Throw | Mode::NoRows) && !silent.is_empty() {
        let limit = timeout.map_or(-1, |limit| limit.as_secs() as i64);
        let text = format!(
            "Distributed DDL task is not finished on {} of {} hosts: {}. distributed_ddl_task_timeout is {limit} seconds",
            silent.len(),
            results.len(),
            silent.join(", ")
        );
        return Err(EngineError::new(159, "TIMEOUT_EXCEEDED", text));
    }
    if mode == Mode::NoRows || results.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<String> = results
        .iter()
        .enumerate()
        .map(|(index, result)| {
            let (status, error) = match &result.outcome {
                Ok(()) => ("0".to_owned(), String::new()),
                Err(Failure::Statement(error)) => (error.code.to_string(), error.to_string()),
                Err(Failure::Host(reason)) => ("NULL".to_owned(), reason.clone()),
            };
            let (host, port) = (quote_string(&result.host.host), result.host.port);
            format!("({host}, {port}, {status}, {}, {}, 0)", quote_string(&error), results.len() - index - 1)
        })
        .collect();
    let nullable = if mode == Mode::Throw { "Int64" } else { "Nullable(Int64)" };
    let query = format!(
        "SELECT * FROM values('host String, port UInt16, status {nullable}, error String, \
         num_hosts_remaining UInt64, num_hosts_active UInt64', {})",
        rows.join(", ")
    );
    let output = lease.connection.execute(query.as_bytes(), format, &[])?;
    Ok(output.bytes().to_vec())
}
