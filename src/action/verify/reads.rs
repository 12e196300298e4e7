//! Everything that is asked on the servers, in the order in which it is asked: what the plan lists and what
//! `prove` sends are made by the same functions. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::arguments::{ContentRule, Health, RowsRule, SchemaRule};
use super::count::{BATCH, content_query, count_query, counts_query, exactly, settings_query, view_query};
use super::live::{
    detached_query, mutations_query, parts_query, paths_query, queue_query, replicas_query, tables_query,
};
use super::plan::{Source, VerifyData};
use super::rules::merges_rows;
use super::table::{Key, Kind, LiveTable, Scope};
use crate::model::ids::HostName;
use crate::plan::statement::Statement;

/// Stands for a table in statements of which planning knows the form only.
const ANY_TABLE: &str = "${table}";

/// Stands for a database of a backup that planning cannot look into.
const ANY_DATABASE: &str = "${database}";

/// How long a host is asked whether its replication has come to rest.
const SETTLING: &str = "every 2 s while replication is under way, for 60 s at most";

/// Tables that are asked something each, in the order in which they are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Those with rows of their own: they are counted.
    #[serde(default)]
    pub rows: Vec<Key>,
    /// Plain views: no row of them is read.
    #[serde(default)]
    pub views: Vec<Key>,
}

impl Asked {
    /// What is asked of the tables of a host.
    #[must_use]
    pub fn of(tables: &BTreeMap<Key, LiveTable>) -> Self {
        let of = |kind| tables.iter().filter(|(_, table)| table.kind() == kind).map(|(key, _)| key.clone()).collect();
        Self { rows: of(Kind::Rows), views: of(Kind::View) }
    }

    /// The counted tables alone: what a host that others are compared with is asked.
    #[must_use]
    pub fn counted(&self) -> Self {
        Self { rows: self.rows.clone(), views: Vec::new() }
    }

    /// What is not asked by another list.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Self {
        let beyond = |ours: &[Key], theirs: &[Key]| {
            let known: std::collections::BTreeSet<&Key> = theirs.iter().collect();
            ours.iter().filter(|key| !known.contains(key)).cloned().collect()
        };
        Self { rows: beyond(&self.rows, &other.rows), views: beyond(&self.views, &other.views) }
    }

    /// One query of one number for each table, by the table's name.
    #[must_use]
    pub fn queries(&self, rule: RowsRule) -> Vec<(Key, String)> {
        let counts = rule != RowsRule::Ignore;
        let rows = self.rows.iter().filter(|_| counts).map(|key| (key.clone(), count_query(key, false)));
        let mut queries: Vec<(Key, String)> =
            rows.chain(self.views.iter().map(|key| (key.clone(), view_query(key)))).collect();
        queries.sort();
        queries
    }
}

/// What planning knows of a host beyond the operation's data.
pub struct Planned<'p> {
    /// The host.
    pub host: &'p HostName,
    /// Its tables.
    pub tables: &'p BTreeMap<Key, LiveTable>,
    /// Whether a table is expected; `None` where only the backup tells.
    pub expected: &'p dyn Fn(&Key) -> Option<bool>,
}

/// The reads of an operation.
#[must_use]
pub fn reads(data: &VerifyData, planned: &Planned<'_>) -> Vec<Statement> {
    let scope = Scope { databases: data.databases.clone(), except: data.except() };
    let reads = Reads { data, planned, peer: data.first().filter(|first| *first != planned.host), scope };
    let mut out = Vec::new();
    if let Some(Source::Live { host }) = &data.against {
        out.push(reads.of_scope(tables_query).at(host));
        reads.counts(&data.source, Some(host), &mut out);
    }
    reads.state(&mut out);
    reads.counts(&data.tables, None, &mut out);
    if let Some(peer) = reads.peer
        && data.against.is_none()
    {
        reads.counts(&data.tables.counted(), Some(peer), &mut out);
    }
    reads.finals(&mut out);
    reads.health(&mut out);
    reads.contents(&mut out);
    out
}

struct Reads<'p> {
    data: &'p VerifyData,
    planned: &'p Planned<'p>,
    peer: Option<&'p HostName>,
    scope: Scope,
}

impl Reads<'_> {
    /// A query on the databases that are verified.
    fn of_scope(&self, query: impl Fn(&Scope) -> String) -> Statement {
        if !self.scope.databases.is_empty() {
            return Statement::exact(query(&self.scope));
        }
        let unknown = Scope { databases: vec![ANY_DATABASE.to_owned()], ..Scope::default() };
        form(&query(&unknown), ANY_DATABASE)
    }

    /// Tables, queues and parts.
    fn state(&self, out: &mut Vec<Statement>) {
        out.push(self.of_scope(tables_query));
        if self.data.replication == Health::Healthy {
            out.push(self.of_scope(replicas_query).again(SETTLING));
            out.push(self.of_scope(queue_query).again(SETTLING));
        }
        out.push(self.of_scope(|scope| parts_query(scope, true)));
        let old = "the server has no column for lightweight deletes (before 22.8)";
        out.push(self.of_scope(|scope| parts_query(scope, false)).only_if(old));
    }

    /// Counts on a host, and what is sent where they cannot be made so.
    fn counts(&self, asked: &Asked, host: Option<&HostName>, out: &mut Vec<Statement>) {
        let mut add = |statement: Statement| match host {
            Some(host) => out.push(statement.at(host)),
            None => out.push(statement),
        };
        add(Statement::exact(settings_query()));
        for batch in asked.queries(self.data.rows).chunks(BATCH) {
            add(Statement::exact(exactly(&counts_query(batch))));
        }
        if self.data.rows == RowsRule::Ignore && asked.views.is_empty() {
            return;
        }
        let alone = format!("SELECT count() FROM {ANY_TABLE}");
        let several = format!("SELECT 0 AS number, count() AS counted FROM {ANY_TABLE} UNION ALL ...");
        add(form(&exactly(&several), ANY_TABLE).only_if("there are tables that were not there at planning"));
        add(form(&several, ANY_TABLE)
            .only_if("the server takes no settings from this user; then instead of the counts with settings"));
        add(form(&exactly(&alone), ANY_TABLE)
            .only_if("the server answers several counts in one statement with an error; then each table alone"));
    }

    /// Two live sides are compared as merged, where merging takes rows away.
    fn finals(&self, out: &mut Vec<Statement>) {
        let other = match (&self.data.against, self.peer) {
            (Some(Source::Live { host }), _) => host,
            (None, Some(peer)) => peer,
            _ => return,
        };
        let merges = |table: &LiveTable| table.kind() == Kind::Rows && merges_rows(&table.keeps_rows_in());
        if self.data.rows == RowsRule::Ignore || !self.planned.tables.values().any(merges) {
            return;
        }
        let query = form(&exactly(&format!("SELECT count() FROM {ANY_TABLE} FINAL")), ANY_TABLE)
            .only_if(format!("the table merges rows and their number differs from that on {other}"));
        out.push(query.clone().at(other));
        out.push(query);
    }

    /// Definitions, Keeper paths, detached parts, mutations.
    fn health(&self, out: &mut Vec<Statement>) {
        if let Some(peer) = self.peer {
            if self.data.schema == SchemaRule::Same {
                out.push(self.of_scope(tables_query).at(peer));
                if self.data.replication == Health::Ignore {
                    out.push(self.of_scope(paths_query));
                }
            }
            if self.data.asks_paths() {
                out.push(self.of_scope(paths_query).at(peer));
            }
        }
        if self.data.parts == Health::Healthy {
            out.push(self.of_scope(detached_query));
            out.push(self.of_scope(mutations_query));
        }
    }

    /// Hashes over every row, here and where it is compared with.
    fn contents(&self, out: &mut Vec<Statement>) {
        let other = match (self.data.content, &self.data.against) {
            (ContentRule::None, _) => return,
            (ContentRule::Replicas, _) => self.peer,
            (ContentRule::Source, Some(Source::Live { host })) => Some(host),
            (ContentRule::Source, _) => None,
        };
        if let (ContentRule::Replicas, Some(peer), Some(_)) = (self.data.content, other, &self.data.against) {
            out.push(Statement::exact(settings_query()).at(peer));
        }
        for (key, table) in self.planned.tables.iter().filter(|(_, table)| table.kind() == Kind::Rows) {
            let merges = merges_rows(&table.keeps_rows_in());
            let mut query = Statement::exact(exactly(&content_query(key, merges)));
            match (self.planned.expected)(key) {
                Some(true) => {}
                Some(false) => continue,
                None => query = query.only_if("the table is in the backup"),
            }
            out.push(query.clone());
            out.extend(other.map(|other| query.at(other)));
        }
        let any = exactly(&content_query(&(String::new(), String::new()), false).replace("``.``", ANY_TABLE));
        let query = form(&any, ANY_TABLE).only_if("there are tables that were not there at planning");
        out.push(query.clone());
        out.extend(other.map(|other| query.at(other)));
    }
}

/// A statement of which planning knows the form only: the token stands for what it finds.
fn form(text: &str, token: &str) -> Statement {
    let mut statement = Statement::exact(text);
    statement.late = vec![token.trim_start_matches("${").trim_end_matches('}').to_owned()];
    statement
}
