//! The question that a snapshot answers: of which environment, for which runbook, with which parameters and steps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Snapshot;
use crate::diag::Refusal;
use crate::engine::compile::CompiledRunbook;
use crate::model::environment::{Environment, HostBinding};
use crate::plan::plan_file::sha256;

/// The runbook a snapshot was taken for, as far as it decides what is looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenFor {
    /// Its name.
    pub name: String,
    /// Parameters with the values used.
    pub parameters: BTreeMap<String, Value>,
    /// By target and step, the beginning of a digest of what it asks. Guards, descriptions and the like ask nothing,
    /// so they may change without another look at the servers.
    pub asks: BTreeMap<String, String>,
}

/// Collects what a snapshot was made for and is not asked for now.
pub(super) struct Compared<'a> {
    /// Name of the snapshot's file.
    pub(super) name: &'a str,
    /// What differs.
    pub(super) problems: Vec<Refusal>,
}

impl Compared<'_> {
    pub(super) fn refuse(&mut self, what: &str, expected: String, found: String) {
        self.problems.push(Refusal {
            what: format!("the snapshot {} {what}", self.name),
            expected,
            found,
            evidence: "the head of the snapshot: `environment`, `bindings`, `runbook`".to_owned(),
            action: "take it again: `clickferry inspect -e ENVIRONMENT --for RUNBOOK -p ... -o FILE`".to_owned(),
        });
    }

    pub(super) fn environment(&mut self, snapshot: &Snapshot, compiled: &CompiledRunbook, environment: &Environment) {
        let name = &environment.metadata.name;
        if snapshot.environment != *name {
            self.refuse(
                "was taken of another environment",
                format!("environment {name}"),
                format!("environment {}", snapshot.environment),
            );
            return;
        }
        for (role, is, was) in differing(&bindings(environment, Some(compiled)), &snapshot.bindings) {
            self.refuse(&format!("was taken when the environment bound {role} to something else"), is, was);
        }
    }

    pub(super) fn runbook(&mut self, taken: &TakenFor, now: &TakenFor) {
        if taken.name != now.name {
            self.refuse(
                "was taken for another runbook",
                format!("runbook {}", now.name),
                format!("runbook {}", taken.name),
            );
            return;
        }
        let text = |values: &BTreeMap<String, Value>| -> BTreeMap<String, String> {
            values.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
        };
        let parameters = differing(&text(&now.parameters), &text(&taken.parameters));
        for (name, is, was) in &parameters {
            self.refuse(&format!("was taken with another value of the parameter `{name}`"), is.clone(), was.clone());
        }
        // A step that asks something else because of its parameter is no second problem.
        if parameters.is_empty() {
            for (name, is, was) in differing(&now.asks, &taken.asks) {
                self.refuse(&format!("was taken for another form of {name} of the runbook"), is, was);
            }
        }
    }
}

/// Keys whose values differ, with what is and what was.
fn differing(is: &BTreeMap<String, String>, was: &BTreeMap<String, String>) -> Vec<(String, String, String)> {
    let mut keys: Vec<&String> = is.keys().chain(was.keys()).collect();
    keys.sort();
    keys.dedup();
    let word = |map: &BTreeMap<String, String>, key: &String| map.get(key).cloned().unwrap_or("nothing".to_owned());
    keys.into_iter()
        .filter(|key| is.get(*key) != was.get(*key))
        .map(|key| (key.clone(), word(is, key), word(was, key)))
        .collect()
}

/// What a runbook asks the servers.
pub(super) fn taken_for(compiled: &CompiledRunbook) -> TakenFor {
    let digest = |value: &Value| sha256(value.to_string().as_bytes()).chars().take(12).collect::<String>();
    let targets = compiled
        .runbook
        .targets
        .iter()
        .map(|(role, need)| (format!("target `{role}`"), digest(&serde_json::to_value(need).unwrap_or_default())));
    let steps =
        compiled.steps.iter().filter(|step| step.skipped.is_none()).map(|step| {
            (format!("step `{}`", step.id), digest(&serde_json::json!([step.action.name(), step.arguments])))
        });
    TakenFor {
        name: compiled.runbook.metadata.name.clone(),
        parameters: compiled.parameters.0.clone(),
        asks: targets.chain(steps).collect(),
    }
}

/// What an environment binds to the roles of a runbook, or to all, without credentials.
pub(super) fn bindings(environment: &Environment, compiled: Option<&CompiledRunbook>) -> BTreeMap<String, String> {
    let is_target = |role: &str| compiled.is_none_or(|compiled| compiled.runbook.targets.contains_key(role));
    let is_storage = |role: &str| compiled.is_none_or(|compiled| compiled.runbook.storage.contains_key(role));
    let host = |binding: &HostBinding| {
        let shard = binding.shard.as_ref().map(|shard| format!(" in shard {shard}")).unwrap_or_default();
        format!("{} at {}{shard}", binding.host_name(), binding.url)
    };
    let targets = environment.targets.iter().filter(|(role, _)| is_target(role)).map(|(role, binding)| {
        let mut words: Vec<String> = binding.hosts.iter().map(host).collect();
        words.extend(binding.cluster.as_ref().map(|cluster| format!("cluster {cluster}")));
        words.extend(binding.keeper.as_ref().map(|keeper| {
            format!("Keeper {} below {}", keeper.hosts.join(" "), keeper.root.as_deref().unwrap_or("/"))
        }));
        (format!("target `{role}`"), words.join(", "))
    });
    let storage = environment.storage.iter().filter(|(role, _)| is_storage(role)).map(|(role, binding)| {
        let s3 = binding.s3();
        let words = format!("bucket {} at {} in {}", s3.bucket, s3.endpoint, s3.region);
        let prefix = s3.prefix.as_ref().map(|prefix| format!(" below {prefix}")).unwrap_or_default();
        let servers = s3.endpoint_for_servers.as_ref().map(|url| format!(", for servers {url}")).unwrap_or_default();
        (format!("storage `{role}`"), format!("{words}{prefix}{servers}"))
    });
    targets.chain(storage).collect()
}
