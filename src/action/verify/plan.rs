//! Planning of `verify`: one reading operation per host.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::arguments::{Against, ContentRule, Health, RowsRule, SchemaRule, VerifyArguments};
use super::facts::{detached, host_facts};
use super::known::Known;
use super::reads::{Asked, Planned, reads};
use super::table::Key;
use crate::action::select::select;
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::formats::parse_table;
use crate::model::ids::HostName;
use crate::model::observed::{HostWorld, TargetWorld};
use crate::model::words::count_of;
use crate::plan::fact::Fact;
use crate::plan::operation::{Effect, Operation};

/// Shows which shard a server belongs to.
const SHARDS: &str = "on each host: SELECT substitution FROM system.macros WHERE macro = 'shard'";

/// What rows are compared with, resolved for one host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A backup step of this run.
    Step {
        /// Its id.
        step: String,
    },
    /// A backup in a bucket.
    Backup {
        /// Storage role.
        storage: String,
        /// Path, with late values as tokens.
        path: String,
    },
    /// A live source.
    Live {
        /// The replica that is asked.
        host: HostName,
    },
}

/// What an operation of `verify` needs at run time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifyData {
    /// Target role.
    pub role: String,
    /// Shard of the host.
    pub shard: String,
    /// All shards of the target, sorted.
    pub shards: Vec<String>,
    /// All replicas of the host's shard, in the order of the environment.
    pub peers: Vec<HostName>,
    /// What the rows are compared with; the first replica of the shard when absent.
    pub against: Option<Source>,
    /// Databases; empty where only the backup tells, and planning could not look into it.
    pub databases: Vec<String>,
    /// Tables of the host that are asked something, as far as planning could see them.
    #[serde(default)]
    pub tables: Asked,
    /// The same of the live source.
    #[serde(default)]
    pub source: Asked,
    /// Tables left out, as `database.table`.
    pub except_tables: Vec<String>,
    /// How rows compare.
    pub rows: RowsRule,
    /// Whether replication must be healthy.
    pub replication: Health,
    /// Whether definitions must be the same.
    pub schema: SchemaRule,
    /// Whether parts and mutations must be healthy.
    pub parts: Health,
    /// Whether content is compared.
    pub content: ContentRule,
    /// Detached parts that were there at planning, by `database.table`.
    pub detached: BTreeMap<String, u64>,
}

impl VerifyData {
    /// Tables left out.
    #[must_use]
    pub fn except(&self) -> Vec<Key> {
        self.except_tables.iter().filter_map(|name| parse_table(name).ok()).collect()
    }

    /// Whether the first replica is asked for its Keeper paths.
    #[must_use]
    pub fn asks_paths(&self) -> bool {
        self.schema == SchemaRule::Same || self.replication == Health::Healthy
    }

    /// The replica that the others of the shard are compared with.
    #[must_use]
    pub fn first(&self) -> Option<&HostName> {
        self.peers.first()
    }
}

/// Makes the operations.
pub fn plan(context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
    let arguments: VerifyArguments = context.arguments()?;
    let role = arguments.on.as_str().to_owned();
    let target = context.target(&role)?.clone();
    let sources = sources(context, &arguments, &target)?;
    let databases: Vec<String> = arguments.databases.iter().map(|name| name.0.clone()).collect();
    missing_databases(context, &role, &target, &databases)?;
    let planning = &*context;
    let of_host = |host: &HostWorld| {
        let peers: Vec<HostName> = target.replicas(&host.shard).map(|replica| replica.name.clone()).collect();
        let mut data = VerifyData {
            role: role.clone(),
            shard: host.shard.clone(),
            shards: target.shards(),
            peers,
            against: sources.get(&host.shard).cloned(),
            databases: databases.clone(),
            tables: Asked::default(),
            source: Asked::default(),
            except_tables: arguments.except_tables.iter().map(|name| name.0.clone()).collect(),
            rows: arguments.rows,
            replication: arguments.replication,
            schema: arguments.schema,
            parts: arguments.parts,
            content: arguments.content,
            detached: BTreeMap::new(),
        };
        // All in one wave: where one replica differs, the others are still to be told of.
        let known = Known::of(planning, &arguments, &data, host);
        // What nobody looks at may move while the plan waits.
        if arguments.parts == Health::Healthy {
            data.detached = detached(host, &known.databases);
        }
        let mut facts: Vec<Fact> = host_facts(host, &known.databases, arguments.parts).into_iter().collect();
        facts.extend(known.fact(host));
        (facts, operation(planning, &arguments, data, host, known))
    };
    let hosts: Vec<&HostWorld> = select(&target, arguments.every).into_iter().collect();
    let planned: Vec<(Vec<Fact>, Operation)> = hosts.into_par_iter().map(of_host).collect();
    let (facts, operations): (Vec<Vec<Fact>>, Vec<Operation>) = planned.into_iter().unzip();
    context.facts.extend(facts.into_iter().flatten());
    Ok(operations)
}

fn operation(
    context: &PlanContext<'_>,
    arguments: &VerifyArguments,
    data: VerifyData,
    host: &HostWorld,
    known: Known,
) -> Operation {
    let object = match known.databases.as_slice() {
        [] => "the tables of the backup".to_owned(),
        [one] => format!("database {one}"),
        several => format!("databases {}", several.join(", ")),
    };
    let data = VerifyData {
        tables: Asked::of(&known.tables),
        source: Asked::of(&known.source).counted(),
        databases: known.databases.clone(),
        ..data
    };
    let expected = |key: &Key| known.is_expected(key);
    let planned = Planned { host: &host.name, tables: &known.tables, expected: &expected };
    let mut operation = Operation::new(context.step, "verify", "verify", object, Effect::Read)
        .on(arguments.on.as_str(), &host.name)
        .statements(reads(&data, &planned))
        .promises("", after(&data), check(&data));
    let rows_of = |(database, name): &Key| host.table(database, name).and_then(|table| table.rows);
    operation.estimate_rows = Some(data.tables.rows.iter().filter_map(rows_of).sum());
    operation.with_data(&data)
}

fn after(data: &VerifyData) -> String {
    let against = match &data.against {
        None => "the first replica".to_owned(),
        Some(Source::Step { step }) => format!("backup step `{step}`"),
        Some(Source::Backup { storage, path }) => format!("backup {path} of storage `{storage}`"),
        Some(Source::Live { host }) => format!("live source {host}"),
    };
    match data.rows {
        RowsRule::Equal => format!("rows equal {against}"),
        RowsRule::AtMost => format!("rows at most those of {against}"),
        RowsRule::Ignore => format!("the tables of {against} are there"),
    }
}

fn check(data: &VerifyData) -> String {
    let mut words = vec!["every table counted by reading it"];
    if data.replication == Health::Healthy {
        words.push("replication healthy");
    }
    if data.schema == SchemaRule::Same && data.peers.len() > 1 {
        words.push("same definitions on all replicas");
    }
    if data.parts == Health::Healthy {
        words.push("no new detached parts, no failing mutation");
    }
    match data.content {
        ContentRule::None => {}
        ContentRule::Replicas => words.push("same content on all replicas"),
        ContentRule::Source => words.push("same content as the source"),
    }
    words.join(", ")
}

/// What each shard is compared with.
fn sources(
    context: &PlanContext<'_>,
    arguments: &VerifyArguments,
    target: &TargetWorld,
) -> Result<BTreeMap<String, Source>, Vec<Refusal>> {
    let shards = target.shards();
    let all = |source: Source| shards.iter().map(|shard| (shard.clone(), source.clone())).collect();
    let other = match &arguments.against {
        None => return Ok(BTreeMap::new()),
        Some(Against::Step(step)) => return Ok(all(Source::Step { step: step.0.clone() })),
        Some(Against::Other(other)) => other,
    };
    if let (Some(storage), Some(path)) = (&other.storage, &other.path) {
        if shards.len() > 1 {
            return Err(vec![
                context
                    .refuse(
                        "one backup does not tell what each of several shards should hold",
                        "a target of one shard",
                        format!("the shards {}", shards.join(", ")),
                        "verify `against:` the backup step of this runbook, which has a backup per shard",
                    )
                    .shown_by(SHARDS),
            ]);
        }
        return Ok(all(Source::Backup { storage: storage.0.clone(), path: path.trim_matches('/').to_owned() }));
    }
    let Some(role) = &other.target else { return Ok(BTreeMap::new()) };
    let source = context.target(role.as_str())?;
    let from = source.shards();
    if from.len() != shards.len() {
        return Err(vec![
            context
                .refuse(
                    format!("the live source `{}` is cut into other shards", role.as_str()),
                    format!("as many shards as the target: {}", shards.len()),
                    count_of(from.len(), "shard"),
                    "compare the totals with an `assert` step instead",
                )
                .shown_by(SHARDS),
        ]);
    }
    let pairs = shards.iter().zip(&from).filter_map(|(shard, name)| {
        let named = if from.contains(shard) { shard } else { name };
        source.replicas(named).next().map(|host| (shard.clone(), Source::Live { host: host.name.clone() }))
    });
    Ok(pairs.collect())
}

fn missing_databases(
    context: &PlanContext<'_>,
    role: &str,
    target: &TargetWorld,
    databases: &[String],
) -> Result<(), Vec<Refusal>> {
    let mut problems = Vec::new();
    for host in &target.hosts {
        for name in databases.iter().filter(|name| !host.databases.contains_key(*name)) {
            problems.push(Refusal {
                what: format!("step `{}`: the database `{name}` is not on {} of `{role}`", context.step, host.name),
                expected: "the database, at this step".to_owned(),
                found: "none, neither now nor from an earlier step".to_owned(),
                evidence: format!("on {}: SELECT name FROM system.databases", host.name),
                action: "correct `databases:`, or create it in an earlier step".to_owned(),
            });
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
