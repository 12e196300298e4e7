//! Two names on one host that stand for each other's tables afterwards: what is asked of it, there and back.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::gate::{same_server, still_running, unanswered, unproved, unread};
use crate::engine::action::{Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::{Answer, SqlError};
use crate::model::ids::HostName;
use crate::plan::sql::{literal, qualified};

/// A table by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Named {
    /// Database.
    pub database: String,
    /// Name in it.
    pub name: String,
}

impl Named {
    /// As it stands in a statement.
    #[must_use]
    pub fn sql(&self) -> String {
        qualified(&self.database, &self.name)
    }

    /// As the world has it.
    #[must_use]
    pub fn pair(&self) -> (String, String) {
        (self.database.clone(), self.name.clone())
    }
}

/// Two names, and the tables that stand under them before, by UUID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// The names.
    pub names: [Named; 2],
    /// The UUIDs; `None` where an earlier step of the plan makes the table.
    pub uuids: [Option<String>; 2],
    /// Whether their columns may differ.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_columns: bool,
}

impl Swap {
    /// The statement.
    #[must_use]
    pub fn statement(&self) -> String {
        format!("EXCHANGE TABLES {} AND {}", self.names[0].sql(), self.names[1].sql())
    }

    /// The other name of the pair.
    #[must_use]
    pub fn other_of(&self, name: &(String, String)) -> Option<(String, String)> {
        let is = |at: usize| self.names[at].database == name.0 && self.names[at].name == name.1;
        if is(0) { Some(self.names[1].pair()) } else { is(1).then(|| self.names[0].pair()) }
    }
}

/// UUIDs behind two names; `None` for a name that nothing has.
pub type Standing = [Option<String>; 2];

/// The question what stands behind two names.
#[must_use]
pub fn names_query(names: &[Named; 2]) -> String {
    let [one, other] = names
        .each_ref()
        .map(|named| format!("(database = {} AND name = {})", literal(&named.database), literal(&named.name)));
    format!("SELECT database, name, toString(uuid) AS uuid FROM system.tables WHERE {one} OR {other}")
}

/// What stands behind two names.
///
/// # Errors
/// See [`SqlError`].
pub async fn standing(context: &RunContext<'_>, host: &HostName, names: &[Named; 2]) -> Result<Standing, SqlError> {
    let answer = context.read(host, names_query(names)).await?;
    Ok(of_each(&answer, names, "name", "uuid"))
}

/// What an answer says in a column of each of two tables; `None` for one that it does not tell of.
pub(super) fn of_each(answer: &Answer, names: &[Named; 2], name: &str, column: &str) -> [Option<String>; 2] {
    names.each_ref().map(|named| {
        let is = |row: &usize| {
            answer.text(*row, "database").as_deref() == Some(named.database.as_str())
                && answer.text(*row, name).as_deref() == Some(named.name.as_str())
        };
        (0..answer.rows.len()).find(is).and_then(|row| answer.text(row, column))
    })
}

/// `` `d`.`a` is UUID 1, `d`.`b` is missing ``.
#[must_use]
pub fn words(names: &[Named; 2], standing: &Standing) -> String {
    let [one, other] = [0, 1].map(|at| match &standing[at] {
        Some(uuid) => format!("{} is UUID {uuid}", names[at].sql()),
        None => format!("{} is missing", names[at].sql()),
    });
    format!("{one}, {other}")
}

fn swapped([one, other]: &Standing) -> Standing {
    [other.clone(), one.clone()]
}

/// The gate: the server and both tables are those of the plan. Returns their UUIDs for the intent.
///
/// # Errors
/// [`RunErrorKind::NotSent`] where they are not.
pub async fn gate(context: &RunContext<'_>, swap: &Swap) -> Result<Value, RunError> {
    let host = context.host()?;
    same_server(context, host).await?;
    let found =
        standing(context, host, &swap.names).await.map_err(|error| unread(context, "looking at the names", &error))?;
    let is_planned = (0..2).all(|at| found[at].is_some() && (swap.uuids[at].is_none() || swap.uuids[at] == found[at]));
    if is_planned {
        return Ok(json!({ "uuids": found }));
    }
    let is_swapped = found.iter().all(Option::is_some) && found == swapped(&swap.uuids);
    let what =
        if is_swapped { "somebody else has exchanged these tables" } else { "other tables stand under these names" };
    Err(context.fail(
        RunErrorKind::NotSent,
        what,
        words_or_any(swap),
        words(&swap.names, &found),
        format!("on {host}: {}", names_query(&swap.names)),
        "nothing was sent; find out who renamed, dropped or made them, then plan again",
    ))
}

/// What the plan knows of the names.
fn words_or_any(swap: &Swap) -> String {
    let [one, other] = [0, 1].map(|at| match &swap.uuids[at] {
        Some(uuid) => format!("{} is UUID {uuid}", swap.names[at].sql()),
        None => format!("{} is there", swap.names[at].sql()),
    });
    format!("{one}, {other}")
}

/// The UUIDs that the gate of the attempt has seen.
fn before(context: &RunContext<'_>) -> Option<Standing> {
    let seen = context.intent.get("uuids").and_then(|uuids| Standing::deserialize(uuids).ok());
    seen.filter(|seen| seen.iter().all(Option::is_some))
}

/// Asks what stands under the names now: as the gate saw it, or the other way round.
pub async fn probe(context: &RunContext<'_>, swap: &Swap) -> Probe {
    let host = match context.host() {
        Ok(host) => host,
        Err(error) => return Probe::Unknown(Box::new(error.refusal)),
    };
    let query = format!("on {host}: {}", names_query(&swap.names));
    let resolve = "say how it ended: clickferry resolve RUN OPERATION --done or --not-done";
    let Some(before) = before(context) else {
        return Probe::Unknown(Box::new(context.refusal(
            "the journal does not tell which tables stood under these names before",
            "both UUIDs in the intent",
            "neither",
            query,
            format!("look at the names, then {resolve}"),
        )));
    };
    match still_running(context, host).await {
        Ok(true) => return Probe::Running,
        Ok(false) => {}
        Err(error) => return unanswered(context, &error),
    }
    match standing(context, host, &swap.names).await {
        Ok(now) if now == swapped(&before) => Probe::Done,
        Ok(now) if now == before => Probe::NotDone,
        Ok(now) => Probe::Unknown(Box::new(context.refusal(
            "these names stand neither for the tables they stood for nor for each other's",
            format!("{}, or the other way round", words(&swap.names, &before)),
            words(&swap.names, &now),
            query,
            format!("find out who renamed, dropped or made them, then {resolve}"),
        ))),
        Err(error) => unanswered(context, &error),
    }
}

/// Proves that each name stands for the other's table, and returns the UUIDs as they are now.
///
/// # Errors
/// [`RunErrorKind::Broken`] where they do not.
pub async fn prove(context: &RunContext<'_>, swap: &Swap) -> Result<Value, RunError> {
    let host = context.host()?;
    let now = standing(context, host, &swap.names)
        .await
        .map_err(|error| unproved(context, "looking at the names", &error))?;
    let expected = before(context).as_ref().map(swapped);
    if expected.as_ref() == Some(&now) {
        return Ok(json!({ "names": swap.names, "uuids": now }));
    }
    Err(context.fail(
        RunErrorKind::Broken,
        "the server said that the tables are exchanged, and they are not",
        expected.map_or_else(String::new, |expected| words(&swap.names, &expected)),
        words(&swap.names, &now),
        format!("on {host}: {}", names_query(&swap.names)),
        "find out who else exchanges or renames them (system.query_log), then `clickferry resume`",
    ))
}
