//! The gate of what destroys: the tables that lose rows are those of the plan, with no more rows than it says.
//!
//! A plan may be applied hours after it was made, and a statement comes to its turn hours after that. What earlier
//! steps of the same plan have put into a table cannot be known before, so it is not compared.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::plan::SqlData;
use crate::action::exchange_tables::{NAME as EXCHANGE, name_before};
use crate::action::gate::{first_of, same_server, unread};
use crate::action::recreate_database::seen::tables;
use crate::engine::action::{RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::model::ids::HostName;
use crate::model::observed::{HostWorld, TargetWorld};
use crate::model::words::{count, number};
use crate::plan::classify::{Change, Classified, Losing, Name, classify};
use crate::plan::operation::{Effect, Operation};
use crate::plan::sql::{TokenKind, literal, tokenize};

/// A table that loses rows, as it was planned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charged {
    /// Host.
    pub host: HostName,
    /// Database.
    pub database: String,
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: String,
    /// Rows; absent where they cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Whether an INSERT into another table may put rows into this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fed: bool,
}

/// A database that is dropped or emptied as a whole: a table that is new there would go with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// Host.
    pub host: HostName,
    /// Database.
    pub database: String,
    /// Its tables, views and dictionaries.
    pub tables: Vec<String>,
}

impl Whole {
    /// A database as it stands; `None` where earlier steps of the plan put something there.
    pub(super) fn of(host: &HostWorld, database: &str) -> Option<Self> {
        let is_seen = host.databases.get(database).is_some_and(|found| !found.uuid.is_empty())
            && host.tables_of(database).all(|table| !table.uuid.is_empty());
        let tables = host.tables_of(database).map(|table| table.name.clone()).collect();
        is_seen.then(|| Self { host: host.name.clone(), database: database.to_owned(), tables })
    }
}

/// What others write into: tables that a view, a `Distributed` or a `Buffer` names.
pub(super) struct Fed(Vec<(String, BTreeSet<String>)>);

impl Fed {
    /// By every definition on a target that passes rows on: its database, and the names in it.
    pub(super) fn of(target: &TargetWorld) -> Self {
        let passes_on = |engine: &str| matches!(engine, "MaterializedView" | "Distributed" | "Buffer");
        let all = target.hosts.iter().flat_map(|host| &host.tables).filter(|table| passes_on(&table.engine));
        Self(all.map(|table| (table.database.clone(), names_in(&table.create_query).into_iter().collect())).collect())
    }

    /// Whether a table may be named. Servers write the database in front of a table of another one, so a table of the
    /// same name elsewhere is none.
    pub(super) fn names(&self, database: &str, name: &str) -> bool {
        self.0.iter().any(|(own, names)| names.contains(name) && (own == database || names.contains(database)))
    }
}

/// Every name and every text in a statement.
fn names_in(statement: &str) -> Vec<String> {
    let tokens = tokenize(statement).unwrap_or_default();
    let name = |token: &crate::plan::sql::Token<'_>| match token.kind {
        TokenKind::Text => Some(token.text.trim_matches('\'').to_owned()),
        _ => token.name(),
    };
    tokens.iter().filter_map(name).collect()
}

/// Refuses where another table stands under the name, or where there is more than consent was given to.
pub(super) async fn check(context: &RunContext<'_>, data: &SqlData) -> Result<(), RunError> {
    let mut places: BTreeSet<(&HostName, &str)> =
        data.charged.iter().map(|one| (&one.host, one.database.as_str())).collect();
    places.extend(data.whole.iter().map(|whole| (&whole.host, whole.database.as_str())));
    let hosts: BTreeSet<&HostName> = places.iter().map(|(host, _)| *host).collect();
    for host in hosts {
        same_server(context, host).await?;
    }
    let earlier = Earlier::than(context);
    let mut differences = Vec::new();
    let mut evidence = Vec::new();
    for (host, database) in places {
        let now = tables(context, host, database)
            .await
            .map_err(|error| unread(context, "looking at what would lose rows", &error))?;
        let before = differences.len();
        let here = data.charged.iter().filter(|one| one.host == *host && one.database == database);
        differences.extend(here.filter(|one| !earlier.may_touch(one)).filter_map(|one| difference(one, &now)));
        if let Some(whole) = data.whole.as_ref().filter(|whole| whole.host == *host && whole.database == database) {
            let is_new = |name: &&String| !whole.tables.contains(name) && !earlier.may_make(host, database, name);
            differences.extend(now.keys().filter(is_new).map(|name| format!("`{database}.{name}` on {host} is new")));
        }
        if differences.len() > before {
            evidence.push(format!(
                "on {host}: SELECT name, uuid, total_rows FROM system.tables WHERE database = {}",
                literal(database)
            ));
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(context.fail(
        RunErrorKind::NotSent,
        "what would be destroyed is not what the plan says",
        "the tables of the plan, each with the rows it says at most",
        first_of(&differences, 10, "; "),
        evidence.join("\n"),
        "nothing was sent; plan again and read what differs",
    ))
}

/// Rows may become fewer by themselves; a table that is gone loses nothing any more.
fn difference(planned: &Charged, now: &BTreeMap<String, (String, Option<u64>)>) -> Option<String> {
    let (uuid, rows) = now.get(&planned.name)?;
    let name = format!("`{}.{}` on {}", planned.database, planned.name, planned.host);
    if *uuid != planned.uuid {
        return Some(format!("{name} has UUID {uuid} instead of {}", planned.uuid));
    }
    let (most, rows) = (planned.rows?, (*rows)?);
    (rows > most).then(|| format!("{name} has {} instead of {}", count(rows, "row"), number(most)))
}

/// A statement as it is understood, and every name in it; nothing but the names for what is not from a `sql` step.
type Said = (Option<Classified>, Vec<String>);

/// What the operations before this one may have changed.
struct Earlier<'p> {
    operations: Vec<(&'p Operation, Vec<Said>)>,
    target: Option<&'p str>,
}

impl<'p> Earlier<'p> {
    fn than(context: &'p RunContext<'_>) -> Self {
        // These change no table.
        let looks = ["backup", "clear_keeper", "verify", "assert", "wait_for", "approve"];
        let operations = context.plan.operations.iter().take_while(|other| other.id != context.operation.id);
        let changing =
            operations.filter(|other| other.effect != Effect::Read && !looks.contains(&other.action.as_str()));
        let texts = |operation: &Operation| {
            let said = |text: &str| (classify(text).ok().filter(|_| operation.action == "sql"), names_in(text));
            operation.statements.iter().map(|statement| said(&statement.text)).collect()
        };
        Self {
            operations: changing.map(|operation| (operation, texts(operation))).collect(),
            target: context.operation.target.as_deref(),
        }
    }

    /// Whether rows may have come into a table, or another table under its name. An exchange is known: the table is
    /// looked for under the name that it had before.
    fn may_touch(&self, table: &Charged) -> bool {
        let mut table = table.clone();
        self.operations.iter().rev().any(|earlier| {
            if let Some(before) = name_before(earlier.0, &table.host, &(table.database.clone(), table.name.clone())) {
                (table.database, table.name) = before;
                return false;
            }
            earlier.0.action != EXCHANGE
                && self.does(earlier, |class, names| match class {
                    Some(class) => touches(class, names, &table),
                    None => names.contains(&table.name),
                })
        })
    }

    /// Whether a table of a database may have been made.
    fn may_make(&self, host: &HostName, database: &str, name: &str) -> bool {
        let table =
            Charged { host: host.clone(), database: database.to_owned(), name: name.to_owned(), ..Charged::default() };
        // The hidden table of a view that was made.
        name.starts_with(".inner") && self.any(|_, names| names.iter().any(|word| word.eq_ignore_ascii_case("view")))
            || self.any(|class, names| match class {
                Some(Classified { change: Change::CreateTable { name, .. }, .. }) => is_named(name, &table),
                _ => names.contains(&table.name),
            })
    }

    fn any(&self, does: impl Fn(Option<&Classified>, &[String]) -> bool) -> bool {
        self.operations.iter().any(|earlier| self.does(earlier, &does))
    }

    fn does(
        &self,
        (operation, texts): &(&Operation, Vec<Said>),
        does: impl Fn(Option<&Classified>, &[String]) -> bool,
    ) -> bool {
        // What a command of this machine does, nobody knows.
        operation.action == "run"
            || operation.target.as_deref() == self.target
                && texts.iter().any(|(class, names)| does(class.as_ref(), names))
    }
}

/// Without a database the step's own is meant, which is not asked here: rather one table too many.
fn is_named(name: &Name, table: &Charged) -> bool {
    name.name == table.name && name.database.as_ref().is_none_or(|database| *database == table.database)
}

fn touches(class: &Classified, names: &[String], table: &Charged) -> bool {
    let said = |words: &[&str]| names.iter().any(|name| words.iter().any(|word| name.eq_ignore_ascii_case(word)));
    match &class.change {
        Change::Insert { name } => table.fed || is_named(name, table),
        Change::CreateTable { name, .. } => is_named(name, table),
        Change::CreateDatabase { .. }
        | Change::DropTables { .. }
        | Change::DropDatabase { .. }
        | Change::Truncate { .. }
        | Change::TruncateDatabase { .. } => false,
        Change::Other => match (class.verb.as_str(), &class.losing) {
            ("ALTER TABLE", _) => names.contains(&table.name) && said(&["ATTACH", "MOVE", "REPLACE", "RENAME"]),
            ("DELETE FROM", Losing::AtMost(_)) => false,
            _ => names.contains(&table.name),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched(statement: &str, table: &Charged) -> bool {
        touches(&classify(statement).unwrap(), &names_in(statement), table)
    }

    #[test]
    fn what_adds_rows_or_another_table_under_the_name_is_not_compared() {
        let old = Charged { database: "d".into(), name: "old".into(), ..Charged::default() };
        for statement in [
            "INSERT INTO d.old SELECT 1",
            "INSERT INTO old SELECT 1",
            "EXCHANGE TABLES d.old AND d.new",
            "RENAME TABLE d.new TO d.old",
            "CREATE OR REPLACE TABLE d.old (a Int8) ENGINE = Log",
            "ALTER TABLE d.old ATTACH PARTITION 1 FROM d.new",
            "ALTER TABLE d.new MOVE PARTITION 1 TO TABLE d.old",
        ] {
            assert!(touched(statement, &old), "{statement}");
        }
        // The copy before the drop is what the gate is for.
        for statement in [
            "INSERT INTO d.new SELECT * FROM d.old",
            "CREATE TABLE d.new ENGINE = Log AS SELECT * FROM d.old",
            "INSERT INTO other.old SELECT 1",
            "DELETE FROM d.old WHERE a = 1",
            "ALTER TABLE d.old DELETE WHERE a = 1",
            "TRUNCATE TABLE d.old",
            "DROP TABLE d.old",
        ] {
            assert!(!touched(statement, &old), "{statement}");
        }
        assert!(touched("INSERT INTO d.new SELECT 1", &Charged { fed: true, ..old }));
    }

    #[test]
    fn more_rows_and_another_table_are_differences_and_fewer_rows_are_none() {
        let planned = Charged {
            host: "r1".into(),
            database: "d".into(),
            name: "t".into(),
            uuid: "u".into(),
            rows: Some(5),
            fed: false,
        };
        let seen =
            |uuid: &str, rows| difference(&planned, &BTreeMap::from([("t".to_owned(), (uuid.to_owned(), rows))]));
        assert_eq!(seen("u", Some(6)).unwrap(), "`d.t` on r1 has 6 rows instead of 5");
        assert_eq!(seen("v", Some(5)).unwrap(), "`d.t` on r1 has UUID v instead of u");
        assert!(seen("u", Some(4)).is_none() && seen("u", None).is_none());
        assert!(difference(&planned, &BTreeMap::new()).is_none());
    }
}
