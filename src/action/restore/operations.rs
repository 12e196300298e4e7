//! The operations of one entry of a backup, with their statements.

use std::collections::BTreeMap;

use crate::action::backup::destination::destination;
use crate::action::backup::settings::{Settings, clause};
use crate::engine::context::PlanContext;
use crate::engine::manifest::columns_of;
use crate::model::environment::S3Binding;
use crate::model::ids::HostName;
use crate::model::words::count;
use crate::plan::operation::{Effect, Operation};
use crate::plan::sql::{identifier, literal, qualified};
use crate::plan::statement::Statement;

use super::RestoreArguments;
use super::data::{RestoreData, Rule, kind};
use super::source::{Source, SourceTable};
use super::way::{Place, STAGING, Way, engine};
use super::words::{check_words, hosts, noun};

/// When a further attempt drops what is there: the journal proves that it is this operation's own.
const ONLY_IF: &str = "an earlier attempt of this operation left it";

/// Rows of one block of an INSERT.
const ONE_BLOCK: &str = "1000000000";

/// What brings the entries of one shard of a backup to one shard of the target.
pub(crate) struct Work<'a> {
    pub(crate) arguments: &'a RestoreArguments,
    source: &'a Source,
    /// The shard of the backup.
    from: &'a str,
    /// Where that lies, as a statement names it.
    destination: String,
    /// The shard of the target.
    to: &'a str,
}

/// Operations so far per host and wave, for the lanes.
pub(crate) type Lanes = BTreeMap<(HostName, u32), u32>;

impl<'a> Work<'a> {
    pub(crate) fn new(
        arguments: &'a RestoreArguments,
        source: &'a Source,
        storage: &S3Binding,
        from: &'a str,
        to: &'a str,
    ) -> Self {
        let origin = source.origin(from);
        let destination = destination(&origin.storage, storage, &origin.path_text());
        Self { arguments, source, from, destination, to }
    }

    /// The operations that bring one entry there, without their lanes.
    pub(crate) fn operations(&self, context: &PlanContext<'_>, place: &Place<'_>, way: &Way) -> Vec<Operation> {
        let entry = place.entry;
        let found = place.found();
        let engine_there = found.first().map_or(entry.engine.as_str(), |(_, table)| table.engine.as_str());
        let create_there = found.first().map_or(entry.create_query.as_str(), |(_, table)| table.create_query.as_str());
        let kept = engine(engine_there, create_there);
        let is_replicated =
            kept.starts_with("Replicated") || found.iter().any(|(_, table)| table.zookeeper_path.is_some());
        let seen = !found.is_empty() || *way == Way::Create;
        let all: Vec<HostName> = place.hosts.iter().map(|host| host.name.clone()).collect();
        // One copy of a replicated table feeds the others. A table that does not replicate is filled on every host
        // that has it, so that the replicas answer alike.
        let loads: Vec<Vec<HostName>> =
            if is_replicated || !seen { vec![all] } else { all.into_iter().map(|host| vec![host]).collect() };
        let of_load = |copies: Vec<HostName>| {
            let data = RestoreData {
                origin: self.source.origin(self.from),
                database: entry.database.clone(),
                table: entry.table.clone(),
                shard: self.to.to_owned(),
                staging: (*way == Way::Staged).then(|| format!("{}{STAGING}", entry.table)),
                creates: *way == Way::Create,
                appends: self.arguments.appends(),
                rule: Rule::of(&kept, create_there),
                rows: if self.source.is_existing() { entry.rows } else { None },
                seen,
                copies,
            };
            let is_filled = entry.has_rows();
            match way {
                Way::Nothing => Vec::new(),
                Way::Into => vec![self.table(context, entry, &data, 0)],
                Way::Create if is_filled => vec![self.table(context, entry, &data, creation_wave(entry))],
                Way::Create => vec![self.definition(context, entry, &data)],
                Way::Staged => self.staged(context, entry, &data),
            }
        };
        loads.into_iter().flat_map(of_load).collect()
    }

    /// Spreads operations over the lanes of their hosts.
    pub(crate) fn spread(&self, lanes: &mut Lanes, operations: &mut [Operation]) {
        for operation in operations {
            let host = operation.host.clone().unwrap_or_default();
            let turn = lanes.entry((host.clone(), operation.wave)).or_default();
            operation.lane = format!("{host}/{}", *turn % self.arguments.parallel_tables.max(1) + 1);
            *turn += 1;
        }
    }

    /// `RESTORE TABLE a [AS b] FROM ... SETTINGS ... ASYNC`.
    fn restore(&self, entry: &SourceTable, name: Option<&str>, create: &str, settings: &Settings) -> Statement {
        let renamed = name.map(|name| format!(" AS {}", qualified(&entry.database, name))).unwrap_or_default();
        // Whether CREATE DATABASE has IF NOT EXISTS is taken from `create_table`, so both are always given.
        let own = [
            ("id", "'${operation.id}'".to_owned()),
            ("create_database", literal("must exist")),
            ("create_table", literal(create)),
        ];
        let from = &self.destination;
        Statement::late(format!(
            "RESTORE TABLE {}{renamed} FROM {from} SETTINGS {} ASYNC",
            qualified(&entry.database, &entry.table),
            clause(&own, settings)
        ))
    }

    fn table(&self, context: &PlanContext<'_>, entry: &SourceTable, data: &RestoreData, wave: u32) -> Operation {
        let name = qualified(&entry.database, &entry.table);
        let mode = if data.creates { "create" } else { "must exist" };
        let statement = self.restore(entry, None, mode, &self.arguments.settings);
        let before = match (data.creates, data.appends) {
            (true, _) => format!("not there on {}", hosts(data)),
            (false, true) => format!("any rows on {}", hosts(data)),
            (false, false) => format!("empty on {}", hosts(data)),
        };
        let more = if data.appends && !data.creates { "its rows and " } else { "" };
        let after = format!("{more}{} on {}", self.rows_words(entry), hosts(data));
        let mut operation =
            self.operation(context, entry, data, kind::TABLE, format!("table {}", entry.full_name()), wave);
        if data.creates {
            operation = operation.statement(Statement::exact(format!("DROP TABLE {name} SYNC")).only_if(ONLY_IF));
        }
        operation.statement(statement).promises(before, after, check_words(data)).with_data(data)
    }

    fn definition(&self, context: &PlanContext<'_>, entry: &SourceTable, data: &RestoreData) -> Operation {
        let statement = self.restore(entry, None, "create", &self.arguments.settings);
        let object = format!("{} {}", noun(&entry.engine), entry.full_name());
        let mut operation = self
            .operation(context, entry, data, kind::DEFINITION, object, creation_wave(entry))
            .statement(statement)
            .promises(
                format!("not there on {}", hosts(data)),
                format!("defined on {} as in the backup", hosts(data)),
                "it is there",
            )
            .with_data(data);
        (operation.estimate_rows, operation.estimate_bytes) = (None, None);
        operation
    }

    fn staged(&self, context: &PlanContext<'_>, entry: &SourceTable, data: &RestoreData) -> Vec<Operation> {
        let Some(staging) = data.staging.clone() else { return Vec::new() };
        let (name, beside) = (qualified(&entry.database, &entry.table), qualified(&entry.database, &staging));
        let on = data.copies.first().map(|host| host.0.clone()).unwrap_or_default();
        let mut plain = self.arguments.settings.clone();
        plain.retain(|name, _| !name.starts_with("allow_"));
        let object = format!("temporary copy {}.{staging}", entry.database);
        let rows = self.rows_words(entry);
        let stage = self
            .operation(context, entry, data, kind::STAGE, object.clone(), 0)
            .statement(Statement::exact(format!("DROP TABLE {beside} SYNC")).only_if(ONLY_IF))
            .statement(self.restore(entry, Some(&staging), "create", &plain))
            .promises(
                format!("not there on {on}"),
                format!("{rows} on {on}, as {}", entry.engine),
                format!("rows counted on {on}"),
            )
            .with_data(data);
        let columns =
            columns_of(&entry.create_query).iter().map(|column| identifier(column)).collect::<Vec<_>>().join(", ");
        // One block, so that it is there whole or not at all; deduplication would drop a second attempt's block.
        let insert = Statement::exact(format!("INSERT INTO {name} ({columns}) SELECT {columns} FROM {beside}"))
            .setting("insert_deduplicate", "0")
            .setting("max_threads", "1")
            .setting("max_insert_threads", "1")
            .setting("max_block_size", ONE_BLOCK)
            .setting("max_insert_block_size", ONE_BLOCK)
            .setting("min_insert_block_size_rows", ONE_BLOCK)
            .setting("min_insert_block_size_bytes", "0");
        let more = if data.appends { "its rows and " } else { "" };
        let before = if data.appends { "any rows" } else { "empty" };
        let copy = self
            .operation(context, entry, data, kind::INSERT, format!("table {}", entry.full_name()), 1)
            .statement(insert)
            .promises(
                format!("{before} on {}", hosts(data)),
                format!("{more}{rows} on {}", hosts(data)),
                check_words(data),
            )
            .with_data(data);
        let drop = self
            .operation(context, entry, data, kind::UNSTAGE, object, 2)
            .statement(Statement::exact(format!("DROP TABLE {beside} SYNC")))
            .promises(
                format!("the copy that this run made, on {on}"),
                "gone",
                format!("it is not in system.tables on {on}"),
            )
            .with_data(data);
        vec![stage, copy, drop]
    }

    /// How many rows come, in words that stay the same while a source is written to.
    fn rows_words(&self, entry: &SourceTable) -> String {
        match entry.rows {
            Some(rows) if self.source.is_existing() => count(rows, "row"),
            _ => "the rows of the backup".to_owned(),
        }
    }

    fn operation(
        &self,
        context: &PlanContext<'_>,
        entry: &SourceTable,
        data: &RestoreData,
        kind: &str,
        object: String,
        wave: u32,
    ) -> Operation {
        let host = data.copies.first().cloned().unwrap_or_default();
        let mut operation = Operation::new(context.step, "restore", kind, object, Effect::Write)
            .on(self.arguments.to.as_str(), &host)
            .in_wave(wave);
        operation.estimate_rows = entry.rows;
        operation.estimate_bytes = entry.bytes;
        operation
    }
}

/// Tables first, then what reads from them: dictionaries, views, materialized views.
fn creation_wave(entry: &SourceTable) -> u32 {
    match entry.engine.as_str() {
        "Dictionary" => 3,
        "View" | "LiveView" | "WindowView" => 4,
        "MaterializedView" => 5,
        _ => 0,
    }
}
