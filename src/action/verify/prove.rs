//! Verifying one host: look, wait for the queues, count, compare.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::arguments::{ContentRule, Health, RowsRule};
use super::count::{Counted, Counter, content_query, count_query, failed, view_query};
use super::expected::{Expected, expected};
use super::live;
use super::outcome::{HostOutcome, TableVerdict};
use super::plan::VerifyData;
use super::reads::Asked;
use super::replica::Replica;
use super::rules::{Judged, Verdict, judge_content, judge_rows};
use super::table::{Key, Kind, LiveTable, Parts, Scope};
use crate::engine::action::{RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::model::ids::HostName;
use crate::model::words::count_of;
use crate::plan::sql::qualified;

/// How long the queues of replicated tables may take to become empty.
const SETTLE: Duration = Duration::from_secs(60);

/// Pause between two looks at the queues.
const PAUSE: Duration = Duration::from_secs(2);

/// Everything that was seen on the host and that it is compared with.
pub(super) struct Seen<'a> {
    pub(super) context: &'a RunContext<'a>,
    pub(super) data: &'a VerifyData,
    pub(super) host: &'a HostName,
    /// The first replica of the shard, where this is another one.
    pub(super) peer: Option<&'a HostName>,
    pub(super) scope: Scope,
    expected: Option<Expected>,
    pub(super) tables: BTreeMap<Key, LiveTable>,
    parts: BTreeMap<Key, Parts>,
    counter: Counter<'a>,
    counts: BTreeMap<Key, Counted>,
    peer_counts: BTreeMap<Key, Counted>,
}

/// Gives the verdicts on the operation's host.
pub async fn prove(context: &RunContext<'_>) -> Result<Value, RunError> {
    let data: VerifyData = context.data()?;
    let host = context.host()?;
    let mut counter = Counter::new(context);
    let expected = expected(context, &data, &mut counter).await?;
    let scope = scope(&data, expected.as_ref());
    let sql = |error| failed(context, &error);
    let tables = live::tables(context, host, &scope).await.map_err(sql)?;
    let mut outcome = HostOutcome {
        host: host.0.clone(),
        shard: data.shard.clone(),
        against: expected.as_ref().map(|expected| expected.origin.clone()).unwrap_or_default(),
        ..HostOutcome::default()
    };
    let replicas = match data.replication {
        Health::Healthy => settled(context, host, &scope).await?,
        Health::Ignore => BTreeMap::new(),
    };
    let mut seen = Seen {
        context,
        data: &data,
        host,
        peer: data.first().filter(|first| *first != host),
        parts: live::parts(context, host, &scope).await.map_err(sql)?,
        scope,
        expected,
        tables,
        counter,
        counts: BTreeMap::new(),
        peer_counts: BTreeMap::new(),
    };
    seen.count(&mut outcome).await?;
    seen.judge_tables(&mut outcome).await?;
    let paths = seen.judge_schema(&replicas, &mut outcome).await?;
    seen.judge_replication(&replicas, &paths, &mut outcome);
    seen.judge_parts(&mut outcome).await?;
    seen.judge_contents(&mut outcome).await?;
    outcome.tables.sort_by_key(TableVerdict::key);
    serde_json::to_value(outcome.summed()).map_err(|error| {
        context.fail(RunErrorKind::Broken, "the outcome cannot be written", "", error.to_string(), "", "report this")
    })
}

fn scope(data: &VerifyData, expected: Option<&Expected>) -> Scope {
    let mut databases = data.databases.clone();
    if databases.is_empty() {
        databases
            .extend(expected.iter().flat_map(|expected| expected.tables.keys()).map(|(database, _)| database.clone()));
        databases.sort();
        databases.dedup();
    }
    // `IN ()` is no SQL; an empty backup has no tables to look for.
    if databases.is_empty() {
        databases.push(String::new());
    }
    Scope { databases, except: data.except() }
}

/// The replicated tables, looked at until nothing is on its way any more, or the time is up.
async fn settled(context: &RunContext<'_>, host: &HostName, scope: &Scope) -> Result<BTreeMap<Key, Replica>, RunError> {
    let mut waited = Duration::ZERO;
    loop {
        let replicas = live::replicas(context, host, scope).await.map_err(|error| failed(context, &error))?;
        let waiting = replicas.values().filter(|replica| replica.may_settle()).count();
        if waiting == 0 || waited >= SETTLE {
            return Ok(replicas);
        }
        let message = format!("waiting for the replication of {} on {host}", count_of(waiting, "table"));
        context.progress.progress(&context.operation.id, 0, None, &message);
        tokio::select! {
            () = context.cancel.cancelled() => {
                return Err(context.fail(RunErrorKind::AskProbe, "the verification was cancelled", "", "", "", "`clickferry resume` verifies again"));
            }
            () = context.ports.clock.sleep(PAUSE) => {}
        }
        waited += PAUSE;
    }
}

impl Seen<'_> {
    async fn count(&mut self, outcome: &mut HostOutcome) -> Result<(), RunError> {
        let there = Asked::of(&self.tables);
        self.counts = self.counter.tables(self.host, self.data.rows, &self.data.tables, &there).await?;
        if !self.counter.is_exact(self.host) {
            outcome.notes.push("the user may not change settings, so that counts may come from metadata".to_owned());
        }
        let Some(peer) = self.peer else { return Ok(()) };
        if self.data.against.is_none() {
            let planned = self.data.tables.counted();
            self.peer_counts = self.counter.tables(peer, self.data.rows, &planned, &there.counted()).await?;
        }
        Ok(())
    }

    async fn judge_tables(&self, outcome: &mut HostOutcome) -> Result<(), RunError> {
        if let Some(expected) = &self.expected {
            for (key, table) in expected.tables.iter().filter(|(key, _)| !self.tables.contains_key(*key)) {
                let query = format!("EXISTS TABLE {}", qualified(&key.0, &key.1));
                let mut missing = TableVerdict::new(key, &table.engine, query);
                missing.expected_rows = table.rows;
                missing.add(Judged::because(Verdict::Fail, "the table is missing"));
                outcome.tables.push(missing);
            }
        }
        for (key, table) in &self.tables {
            if self.expected.as_ref().is_some_and(|expected| !expected.tables.contains_key(key)) {
                outcome.extra.push(format!("{}.{}", key.0, key.1));
                continue;
            }
            let query = if table.kind() == Kind::View { view_query(key) } else { count_query(key, false) };
            let mut verdict = TableVerdict::new(key, &table.engine, query);
            self.judge_table(key, table, &mut verdict).await?;
            outcome.tables.push(verdict);
        }
        Ok(())
    }

    async fn judge_table(&self, key: &Key, table: &LiveTable, verdict: &mut TableVerdict) -> Result<(), RunError> {
        let found = match (table.kind(), self.counts.get(key)) {
            (Kind::Presence, _) => {
                verdict.add(Judged::because(Verdict::Pass, "no rows of its own"));
                return Ok(());
            }
            (_, Some(Err(message))) => {
                verdict.add(Judged::because(Verdict::Fail, format!("it cannot be read: {message}")));
                return Ok(());
            }
            (Kind::View, _) => {
                verdict.add(Judged::because(Verdict::Pass, "the view works"));
                return Ok(());
            }
            (Kind::Rows, Some(Ok(found))) => *found,
            (Kind::Rows, None) if self.data.rows == RowsRule::Ignore => return Ok(()),
            (Kind::Rows, None) => {
                verdict.add(Judged::because(Verdict::CannotTell, "it was not counted"));
                return Ok(());
            }
        };
        verdict.rows = Some(found);
        let (wanted, live) = match (&self.expected, self.peer) {
            (Some(expected), _) => (expected.tables.get(key).and_then(|table| table.rows), expected.live.as_ref()),
            (None, Some(peer)) => {
                (self.peer_counts.get(key).and_then(|counted| counted.as_ref().ok()).copied(), Some(peer))
            }
            // The first replica has nobody to be compared with.
            (None, None) => return Ok(()),
        };
        verdict.expected_rows = wanted;
        let Some(wanted) = wanted else {
            let from = self.expected.as_ref().map_or("the first replica", |expected| expected.origin.as_str());
            verdict.add(Judged::because(
                Verdict::CannotTell,
                format!("the {from} does not tell how many rows there should be"),
            ));
            return Ok(());
        };
        let traits = table.traits(self.parts_of(key, table));
        let finals = match live {
            Some(other) if traits.merges && wanted != found => self.finals(key, other).await?,
            _ => None,
        };
        verdict.add(judge_rows(self.data.rows, traits, wanted, found, finals));
        Ok(())
    }

    /// Counts with FINAL on the expected side and on this one.
    async fn finals(&self, key: &Key, other: &HostName) -> Result<Option<(u64, u64)>, RunError> {
        let query = count_query(key, true);
        let there = self.counter.one(other, &query).await?;
        let here = self.counter.one(self.host, &query).await?;
        Ok(there.ok().zip(here.ok()))
    }

    /// The parts of a table; those of the hidden table for a materialized view.
    fn parts_of(&self, key: &Key, table: &LiveTable) -> Option<&Parts> {
        hidden_names(key, table).into_iter().chain([key.clone()]).find_map(|name| self.parts.get(&name))
    }

    /// The table that a name of the server's catalogue belongs to: the view for its hidden table.
    pub(super) fn owner(&self, name: &Key) -> Key {
        let hidden = |key: &Key, table: &LiveTable| hidden_names(key, table).contains(name);
        self.tables.iter().find(|(key, table)| hidden(key, table)).map_or_else(|| name.clone(), |(key, _)| key.clone())
    }

    async fn judge_contents(&mut self, outcome: &mut HostOutcome) -> Result<(), RunError> {
        let other = match self.data.content {
            ContentRule::None => return Ok(()),
            ContentRule::Replicas => self.peer.cloned(),
            ContentRule::Source => self.expected.as_ref().and_then(|expected| expected.live.clone()),
        };
        if let Some(other) = &other {
            self.counter.prepare(other).await?;
        }
        for verdict in &mut outcome.tables {
            let key = verdict.key();
            let Some(table) = self.tables.get(&key).filter(|table| table.kind() == Kind::Rows) else { continue };
            let traits = table.traits(self.parts_of(&key, table));
            let ours = self.counter.content(self.host, &key, traits.merges).await?;
            let theirs = match &other {
                Some(other) => Some(self.counter.content(other, &key, traits.merges).await?),
                None => None,
            };
            match (ours, theirs) {
                (Err(message), _) | (_, Some(Err(message))) => {
                    verdict
                        .add(Judged::because(Verdict::CannotTell, format!("its content cannot be hashed: {message}")));
                }
                (Ok(ours), None) => verdict.content = Some(ours),
                (Ok(ours), Some(Ok(theirs))) => {
                    let judged = judge_content(traits, table.holds_states(), &theirs, &ours);
                    if judged.verdict == Verdict::Fail && verdict.verdict != Verdict::Fail {
                        verdict.query = content_query(&key, traits.merges);
                    }
                    verdict.add(judged);
                    verdict.content = Some(ours);
                    verdict.expected_content = Some(theirs);
                }
            }
        }
        Ok(())
    }
}

/// Names under which a materialized view keeps its rows: after its UUID, or in databases without UUIDs its name.
fn hidden_names(key: &Key, table: &LiveTable) -> Vec<Key> {
    if table.engine != "MaterializedView" {
        return Vec::new();
    }
    vec![(key.0.clone(), format!(".inner_id.{}", table.uuid)), (key.0.clone(), format!(".inner.{}", key.1))]
}
