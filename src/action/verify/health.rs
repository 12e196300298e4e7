//! Health beside the rows: definitions, replication, parts and mutations.

use std::collections::BTreeMap;

use super::arguments::{Health, SchemaRule};
use super::count::failed;
use super::ddl::{first_difference, normalised};
use super::live;
use super::outcome::{HostOutcome, Problem, TableVerdict};
use super::prove::Seen;
use super::replica::Replica;
use super::rules::{Judged, Verdict};
use super::table::{Key, LiveTable};
use crate::engine::action::RunError;
use crate::model::ids::HostName;
use crate::model::words;
use crate::plan::sql::qualified;

/// Keeper path and replica name of each replicated table.
type Paths = BTreeMap<Key, (String, String)>;

impl Seen<'_> {
    /// Compares the definitions; returns the Keeper paths on the first replica.
    pub(super) async fn judge_schema(
        &self,
        replicas: &BTreeMap<Key, Replica>,
        outcome: &mut HostOutcome,
    ) -> Result<Paths, RunError> {
        let Some(peer) = self.peer else { return Ok(Paths::new()) };
        let sql = |error| failed(self.context, &error);
        let compared = match self.data.schema {
            SchemaRule::Same => {
                let theirs = live::tables(self.context, peer, &self.scope).await.map_err(sql)?;
                let ours = match self.data.replication {
                    Health::Healthy => replicas
                        .iter()
                        .map(|(key, seen)| (key.clone(), (seen.zookeeper_path.clone(), seen.replica_name.clone())))
                        .collect(),
                    Health::Ignore => live::keeper_paths(self.context, self.host, &self.scope).await.map_err(sql)?,
                };
                Some((theirs, ours))
            }
            SchemaRule::Ignore => None,
        };
        let their_names = if self.data.asks_paths() {
            live::keeper_paths(self.context, peer, &self.scope).await.map_err(sql)?
        } else {
            Paths::new()
        };
        if let Some((theirs, our_names)) = compared {
            self.compare_definitions(peer, &theirs, &our_names, &their_names, outcome);
        }
        Ok(their_names)
    }

    fn compare_definitions(
        &self,
        peer: &HostName,
        theirs: &BTreeMap<Key, LiveTable>,
        our_names: &Paths,
        their_names: &Paths,
        outcome: &mut HostOutcome,
    ) {
        let plain = |key: &Key, table: &LiveTable, names: &Paths| {
            normalised(&table.create_query, &table.uuid, names.get(key).map(|(_, replica)| replica.as_str()))
        };
        for (key, table) in &self.tables {
            let judged = match theirs.get(key) {
                None => Judged::because(Verdict::Fail, format!("the table is missing on {peer}")),
                Some(other) => {
                    let (here, there) = (plain(key, table, our_names), plain(key, other, their_names));
                    if here == there {
                        continue;
                    }
                    Judged::because(
                        Verdict::Fail,
                        format!("its definition differs from that on {peer}: {}", first_difference(&here, &there)),
                    )
                }
            };
            add(outcome, key, judged, format!("SHOW CREATE TABLE {}", qualified(&key.0, &key.1)));
        }
        for key in theirs.keys().filter(|key| !self.tables.contains_key(*key)) {
            match outcome.tables.iter_mut().find(|verdict| verdict.key() == *key) {
                Some(verdict) => verdict.add(Judged::because(Verdict::Fail, format!("it is there on {peer}"))),
                None => {
                    let query = format!("EXISTS TABLE {}", qualified(&key.0, &key.1));
                    let mut missing = TableVerdict::new(key, "", query);
                    missing.add(Judged::because(
                        Verdict::Fail,
                        format!("the table is missing, and it is there on {peer}"),
                    ));
                    outcome.tables.push(missing);
                }
            }
        }
    }

    pub(super) fn judge_replication(
        &self,
        replicas: &BTreeMap<Key, Replica>,
        paths: &Paths,
        outcome: &mut HostOutcome,
    ) {
        for (name, replica) in replicas {
            // Hidden tables are named after UUIDs, which differ between replicas.
            let peer = paths.get(name).map(|(path, _)| path.as_str());
            let key = self.owner(name);
            for problem in replica.problems(self.data.peers.len() as u64, peer) {
                let query = live::replica_query(name);
                add(outcome, &key, Judged::because(Verdict::Fail, format!("replication: {problem}")), query);
                outcome.replication.push(Problem::of(name, problem));
            }
        }
    }

    pub(super) async fn judge_parts(&self, outcome: &mut HostOutcome) -> Result<(), RunError> {
        if self.data.parts == Health::Ignore {
            return Ok(());
        }
        let sql = |error| failed(self.context, &error);
        for (name, (count, reasons)) in live::detached(self.context, self.host, &self.scope).await.map_err(sql)? {
            let before = self.data.detached.get(&format!("{}.{}", name.0, name.1)).copied().unwrap_or(0);
            if count > before {
                let reasons = if reasons.is_empty() { String::new() } else { format!(" ({reasons})") };
                let problem = format!("{}{reasons}, {before} at planning", words::count(count, "detached part"));
                let query = format!("SELECT name, reason FROM system.detached_parts WHERE {}", live::of_table(&name));
                add(outcome, &self.owner(&name), Judged::because(Verdict::Fail, problem.as_str()), query);
                outcome.detached.push(Problem::of(&name, problem));
            }
        }
        for (name, command, reason) in live::mutations(self.context, self.host, &self.scope).await.map_err(sql)? {
            let mut problem = format!("a mutation is not done: {}", command.chars().take(120).collect::<String>());
            if !reason.is_empty() {
                problem = format!("{problem}: {}", reason.chars().take(160).collect::<String>());
                let query = format!(
                    "SELECT command, latest_fail_reason FROM system.mutations WHERE NOT is_done AND {}",
                    live::of_table(&name)
                );
                add(outcome, &self.owner(&name), Judged::because(Verdict::Fail, problem.as_str()), query);
            }
            outcome.mutations.push(Problem::of(&name, problem));
        }
        Ok(())
    }
}

/// Adds a judgement to a table's verdict, with the statement that shows it; one of a table that is not expected
/// becomes a note.
fn add(outcome: &mut HostOutcome, key: &Key, judged: Judged, query: String) {
    match outcome.tables.iter_mut().find(|verdict| verdict.key() == *key) {
        Some(verdict) => {
            if verdict.verdict != Verdict::Fail {
                verdict.query = query;
            }
            verdict.add(judged);
        }
        None => outcome.notes.push(format!("{}.{} is not expected, and {}", key.0, key.1, judged.reason)),
    }
}
