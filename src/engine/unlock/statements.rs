//! What the servers still do for a run: its statements go on without the engine that sent them.

use futures_util::future::join_all;

use crate::engine::ports::{Call, Ports, SqlError};
use crate::model::environment::Environment;
use crate::model::ids::HostName;
use crate::plan::sql::literal;

/// Code of a server that has no such table: one from before ClickHouse 22.8 has no `system.backups`.
const UNKNOWN_TABLE: i32 = 60;

/// A statement of a run that is still at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Where.
    pub host: HostName,
    /// Its id, which begins with the run's.
    pub id: String,
    /// What it is, for people.
    pub what: String,
}

/// What the servers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// Statements at work.
    pub statements: Vec<Statement>,
    /// Hosts that did not answer, and why.
    pub silent: Vec<(HostName, String)>,
}

/// Asks every host of the environment (of one target where it is named) for statements of a run.
pub async fn statements_of(run: &str, environment: &Environment, ports: &Ports, target: Option<&str>) -> Running {
    let mut hosts: Vec<HostName> = environment
        .targets
        .iter()
        .filter(|(role, _)| target.is_none_or(|only| only == *role))
        .flat_map(|(_, binding)| binding.hosts.iter().map(|host| host.host_name()))
        .collect();
    hosts.sort();
    hosts.dedup();
    let mut running = Running::default();
    let answers = join_all(hosts.into_iter().map(|host| async move {
        let answer = ask(&host, run, ports).await;
        (host, answer)
    }));
    for (host, answer) in answers.await {
        match answer {
            Ok(statements) => running.statements.extend(statements),
            Err(error) => running.silent.push((host, error.to_string())),
        }
    }
    running
}

/// Statements of whatever run on these hosts; a host that does not answer tells of none.
pub(in crate::engine) async fn statements_of_all(hosts: Vec<HostName>, ports: &Ports) -> Vec<Statement> {
    let asked = hosts.into_iter().map(|host| async move { ask_for(&host, "clickferry-", ports).await });
    join_all(asked).await.into_iter().filter_map(Result::ok).flatten().collect()
}

async fn ask(host: &HostName, run: &str, ports: &Ports) -> Result<Vec<Statement>, SqlError> {
    ask_for(host, &format!("clickferry-{run}-"), ports).await
}

async fn ask_for(host: &HostName, prefix: &str, ports: &Ports) -> Result<Vec<Statement>, SqlError> {
    let prefix = literal(prefix);
    let queries = format!(
        "SELECT query_id AS id, concat('a statement, for ', toString(round(elapsed)), ' s') AS what \
         FROM system.processes WHERE substring(query_id, 1, length({prefix})) = {prefix} ORDER BY id"
    );
    let backups = format!(
        "SELECT id, concat(lower(toString(status)), ', ', name) AS what FROM system.backups \
         WHERE startsWith(id, {prefix}) AND status IN ('CREATING_BACKUP', 'RESTORING') ORDER BY id"
    );
    let mut found = Vec::new();
    for sql in [queries, backups] {
        let answer = match ports.sql.call(host, Call::read(sql)).await {
            Err(SqlError::Server { code: UNKNOWN_TABLE, .. }) => continue,
            answer => answer?,
        };
        for row in 0..answer.rows.len() {
            let text = |column| answer.text(row, column).unwrap_or_default();
            found.push(Statement { host: host.clone(), id: text("id"), what: text("what") });
        }
    }
    Ok(found)
}
