//! How one entry of the backup gets to one shard, and everything that makes it impossible.

use crate::action::backup::tables::takes_rows;
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::engine::manifest::{columns_of, inner_engine_of, layout_of};
use crate::model::observed::{HostWorld, Table};
use crate::model::words::count;
use crate::plan::sql::{TokenKind, literal, qualified, tokenize};

use super::RestoreArguments;
use super::source::SourceTable;

/// Behind the name of a table beside the real one.
pub(crate) const STAGING: &str = "__clickferry_restore";

/// How an entry gets there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is there and has no rows of its own to restore.
    Nothing,
    /// RESTORE into the table that is there.
    Into,
    /// RESTORE creates it.
    Create,
    /// RESTORE beside it, INSERT, DROP: rows of the Log family and of Memory do not fit into parts (608 "is not a
    /// part's name", seen with 26.7).
    Staged,
}

/// What is known about an entry on one shard.
pub(crate) struct Place<'a> {
    /// Planning context.
    pub(crate) context: &'a PlanContext<'a>,
    /// The step.
    pub(crate) arguments: &'a RestoreArguments,
    /// Replicas of the shard.
    pub(crate) hosts: &'a [&'a HostWorld],
    /// The entry.
    pub(crate) entry: &'a SourceTable,
}

impl Place<'_> {
    /// The table on each host that has it.
    pub(crate) fn found(&self) -> Vec<(&HostWorld, &Table)> {
        self.hosts
            .iter()
            .filter_map(|host| Some((*host, host.table(&self.entry.database, &self.entry.table)?)))
            .collect()
    }

    fn refuse(&self, what: &str, expected: impl Into<String>, found: impl Into<String>, action: &str) -> Refusal {
        let mut refusal = self.context.refuse(format!("{} {what}", self.entry.full_name()), expected, found, action);
        if let Some(host) = self.hosts.first() {
            refusal.evidence = format!(
                "on {}: SELECT engine, total_rows, create_table_query FROM system.tables WHERE database = {} AND name = {}",
                host.name,
                literal(&self.entry.database),
                literal(&self.entry.table)
            );
        }
        refusal
    }

    fn names(&self) -> String {
        self.hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Decides.
    pub(crate) fn way(&self) -> Result<Way, Vec<Refusal>> {
        let lacking: Vec<&str> = self
            .hosts
            .iter()
            .filter(|host| !host.databases.contains_key(&self.entry.database))
            .map(|host| host.name.as_str())
            .collect();
        if !lacking.is_empty() {
            return Err(vec![self.refuse(
                "has no database to go to",
                format!("the database {} on {}", self.entry.database, self.names()),
                format!("it does not exist on {}", lacking.join(", ")),
                "put a `recreate_database` or `create_replicated` step before, so that its engine is chosen and not guessed",
            )]);
        }
        let found = self.found();
        if found.is_empty() {
            return self.absent();
        }
        if found.len() < self.hosts.len() {
            let on: Vec<&str> = found.iter().map(|(host, _)| host.name.as_str()).collect();
            return Err(vec![self.refuse(
                "is not on every replica",
                format!("on {}", self.names()),
                format!("on {} only", on.join(", ")),
                "create it on every replica first, e.g. with `create_replicated`",
            )]);
        }
        if !self.entry.has_rows() || (self.entry.rows == Some(0) && self.is_existing()) {
            return Ok(Way::Nothing);
        }
        let mut problems: Vec<Refusal> = self.state_problems(&found);
        let (_, table) = found[0];
        let way = match self.definition_way(table) {
            Ok(way) => Some(way),
            Err(found) => {
                problems.extend(found);
                None
            }
        };
        match way {
            Some(way) if problems.is_empty() => Ok(way),
            _ => Err(problems),
        }
    }

    fn is_existing(&self) -> bool {
        matches!(self.arguments.backup, super::source::BackupSource::Existing(_))
    }

    fn absent(&self) -> Result<Way, Vec<Refusal>> {
        if self.arguments.created_by_earlier_step {
            return Ok(match () {
                () if !self.entry.has_rows() => Way::Nothing,
                () if is_row_file(&self.entry.engine) => Way::Staged,
                () => Way::Into,
            });
        }
        if self.entry.has_rows() && self.hosts.len() > 1 {
            return Err(vec![self.refuse(
                "is not there",
                format!("the table on {}", self.names()),
                "RESTORE would create it on one replica only, with the engine of the backup",
                "create it first, e.g. with a `create_replicated` step; if an earlier `run` or `sql` step creates it, say `created_by_earlier_step: true`",
            )]);
        }
        Ok(Way::Create)
    }

    fn state_problems(&self, found: &[(&HostWorld, &Table)]) -> Vec<Refusal> {
        let mut problems = Vec::new();
        let readonly: Vec<&str> =
            found.iter().filter(|(_, table)| table.is_readonly).map(|(host, _)| host.name.as_str()).collect();
        if !readonly.is_empty() {
            problems.push(self.refuse(
                "is read-only",
                "a replica that can be written to",
                format!("is_readonly = 1 on {}", readonly.join(", ")),
                "repair the replica (usually Keeper cannot be reached), then plan again",
            ));
        }
        let filled: Vec<String> = found
            .iter()
            .filter(|(_, table)| table.rows.unwrap_or(0) > 0)
            .map(|(host, table)| format!("{} on {}", count(table.rows.unwrap_or(0), "row"), host.name))
            .collect();
        if !filled.is_empty() && !self.arguments.appends() {
            problems.push(self.refuse(
                "holds rows already (the server would answer 608 CANNOT_RESTORE_TABLE)",
                "an empty table on every replica, so that no row can be there twice",
                filled.join(", "),
                "put a step before that empties or recreates it, or leave it out with `except_tables`; rows are never added to a table that has some",
            ));
        }
        let paths: Vec<&str> = found.iter().filter_map(|(_, table)| table.zookeeper_path.as_deref()).collect();
        if paths.windows(2).any(|pair| pair[0] != pair[1]) {
            problems.push(self.refuse(
                "does not replicate between its replicas",
                "one Keeper path for all replicas of a shard",
                paths.join(", "),
                "recreate it with one path, e.g. with `create_replicated`",
            ));
        }
        let staging = format!("{}{STAGING}", self.entry.table);
        if let Some(host) = self.hosts.iter().find(|host| host.table(&self.entry.database, &staging).is_some()) {
            problems.push(self.refuse(
                "has a table beside it that an interrupted restore left",
                format!("no table {}", qualified(&self.entry.database, &staging)),
                format!("it is on {}", host.name),
                "`clickferry resume` the run that made it, or look at it and drop it",
            ));
        }
        problems
    }

    /// Compares the definitions of a table that is there with the backup's.
    fn definition_way(&self, table: &Table) -> Result<Way, Vec<Refusal>> {
        let (from, to) =
            (engine(&self.entry.engine, &self.entry.create_query), engine(&table.engine, &table.create_query));
        let mut problems = Vec::new();
        if from != to && !self.arguments.allows_different_definition() {
            problems.push(self.refuse(
                "has another engine than in the backup (the server would answer 608 CANNOT_RESTORE_TABLE, \"has a different definition\")",
                format!("engine {from}"),
                format!("engine {to}"),
                "if this is what you want (as for MergeTree into ReplicatedMergeTree), set `allow_different_table_def: true` under `settings:`",
            ));
        }
        let (have, want) = (columns_of(&table.create_query), columns_of(&self.entry.create_query));
        let lost: Vec<&str> =
            want.iter().filter(|column| !have.is_empty() && !have.contains(column)).map(String::as_str).collect();
        if !lost.is_empty() {
            problems.push(self.refuse(
                "lacks columns of the backup, whose values would be lost",
                format!("the columns {}", want.join(", ")),
                format!("without {}", lost.join(", ")),
                "create the table with all columns, restore, and change it afterwards",
            ));
        }
        let way = if from.ends_with("MergeTree") && to.ends_with("MergeTree") {
            let (is, was) = (layout_of(&table.create_query), layout_of(&self.entry.create_query));
            if is != was {
                problems.push(self.refuse(
                    "sorts or partitions its rows differently than in the backup, so that parts do not fit",
                    was.join("; "),
                    is.join("; "),
                    "create the table with the same keys, or copy its rows with an `sql` step",
                ));
            }
            Way::Into
        } else if from == to {
            Way::Into
        } else if is_row_file(&from) {
            problems.extend(self.fed_views());
            Way::Staged
        } else {
            problems.push(self.refuse(
                "cannot take the parts of the backup",
                format!("an engine of the MergeTree family, as {from} in the backup"),
                format!("engine {to}"),
                "leave it out with `except_tables` and copy its rows with an `sql` step",
            ));
            Way::Into
        };
        if problems.is_empty() { Ok(way) } else { Err(problems) }
    }

    /// An INSERT fires materialized views, which RESTORE does not: rows would be counted twice in their targets.
    fn fed_views(&self) -> Option<Refusal> {
        let reads = |view: &Table| {
            let tokens = tokenize(&view.create_query).unwrap_or_default();
            let from = tokens.iter().position(|token| token.is_word("FROM")).unwrap_or(tokens.len());
            tokens[from..].iter().any(|token| {
                token.kind != TokenKind::Text && token.name().as_deref() == Some(self.entry.table.as_str())
            })
        };
        let views: Vec<String> = self
            .hosts
            .iter()
            .flat_map(|host| &host.tables)
            .filter(|table| table.engine == "MaterializedView" && reads(table))
            .map(|table| table.full_name())
            .collect();
        (!views.is_empty()).then(|| {
            self.refuse(
                "must be filled with an INSERT, which would also feed the materialized views that read from it",
                "no materialized view on it",
                views.join(", "),
                "leave it out with `except_tables` and copy its rows before the views are created",
            )
        })
    }
}

/// The engine that holds the rows, without what only says how they are replicated.
pub(crate) fn engine(engine: &str, create_query: &str) -> String {
    inner_engine_of(create_query).unwrap_or_else(|| engine.to_owned())
}

/// Whether the rows are in files that no table of parts can take.
fn is_row_file(engine: &str) -> bool {
    takes_rows(engine) && !engine.ends_with("MergeTree")
}
