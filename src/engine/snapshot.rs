//! A snapshot: what was observed for a runbook, as a file, so that a plan can be made where no server is reachable.
//!
//! It holds names, addresses, definitions and numbers, never a secret. Its fingerprint is over everything in it, so
//! that a world edited by hand is found out. The time it was taken at stands in its head and enters no plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compile::CompiledRunbook;
use super::planner::{Observations, check_observed};
use crate::diag::{Diagnostic, Failure, Refusal, SourceFile};
use crate::model::environment::{Environment, HostBinding};
use crate::model::observed::World;
use crate::plan::plan_file::sha256;

/// Version of the snapshot format. A newer one is read by nobody older.
pub const SNAPSHOT_VERSION: u32 = 1;

/// What the file says it is.
const KIND: &str = "Snapshot";

/// A snapshot as it is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// `Snapshot`.
    pub kind: String,
    /// Version of this format.
    pub format_version: u32,
    /// Version of the tool that made it.
    pub tool_version: String,
    /// When it was taken, in UTC.
    pub taken: String,
    /// Name of the environment.
    pub environment: String,
    /// What the environment bound, by role: addresses, clusters, buckets; no credentials.
    pub bindings: BTreeMap<String, String>,
    /// What it was taken for; absent where only the servers were looked at.
    pub runbook: Option<TakenFor>,
    /// What was observed.
    pub observations: Observations,
    /// SHA-256 over all of the above, hexadecimal.
    pub fingerprint: String,
}

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

impl Snapshot {
    /// Seals what was observed.
    #[must_use]
    pub fn new(
        environment: &Environment,
        compiled: Option<&CompiledRunbook>,
        observations: Observations,
        taken: String,
    ) -> Self {
        let mut snapshot = Self {
            kind: KIND.to_owned(),
            format_version: SNAPSHOT_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            taken,
            environment: environment.metadata.name.clone(),
            bindings: bindings(environment, compiled),
            runbook: compiled.map(taken_for),
            observations,
            fingerprint: String::new(),
        };
        // Plain data with text keys always becomes JSON.
        snapshot.fingerprint = fingerprint(&serde_json::to_value(&snapshot).unwrap_or_default());
        snapshot
    }

    /// A snapshot of the servers alone, for no runbook.
    #[must_use]
    pub fn of_world(environment: &Environment, world: World, taken: String) -> Self {
        Self::new(environment, None, Observations { world, steps: BTreeMap::new() }, taken)
    }

    /// The text that is saved.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }

    /// Reads a saved snapshot.
    ///
    /// # Errors
    /// A file that is none, one of a newer version, one that was changed after it was taken.
    pub fn read(source: &SourceFile) -> Result<Self, Failure> {
        let json: Value = serde_json::from_str(&source.text).map_err(|error| not_one(source, &error.to_string()))?;
        if json.get("kind").and_then(Value::as_str) != Some(KIND) {
            return Err(not_one(source, &format!("it has no `\"kind\": \"{KIND}\"`")));
        }
        let version = json.get("format_version").and_then(Value::as_u64).unwrap_or_default();
        if version > u64::from(SNAPSHOT_VERSION) {
            return Err(Failure::refused(Refusal {
                what: format!("{} was written by a newer clickferry", source.name),
                expected: format!("snapshot format {SNAPSHOT_VERSION} or older"),
                found: format!("format {version}"),
                evidence: String::new(),
                action: "use the version that took the snapshot, or take it again".to_owned(),
            }));
        }
        let said = json.get("fingerprint").and_then(Value::as_str).unwrap_or_default().to_owned();
        let is = fingerprint(&json);
        if said != is {
            return Err(Failure::refused(Refusal {
                what: format!("{} was changed after it was taken", source.name),
                expected: format!("content with the fingerprint {}", short(&said)),
                found: format!("content with the fingerprint {}", short(&is)),
                evidence: String::new(),
                action: "take it again with `clickferry inspect -o`; a world is not edited by hand".to_owned(),
            }));
        }
        serde_json::from_value(json).map_err(|error| not_one(source, &error.to_string()))
    }

    /// The observations, where they were made for this very runbook, environment and parameters.
    ///
    /// # Errors
    /// Everything that was another than it is now, in one go.
    pub fn observations_for(
        self,
        name: &str,
        compiled: &CompiledRunbook,
        environment: &Environment,
    ) -> Result<Observations, Failure> {
        let mut found = Compared { name, problems: Vec::new() };
        found.environment(&self, compiled, environment);
        match &self.runbook {
            Some(taken) => found.runbook(taken, &taken_for(compiled)),
            None => found.refuse(
                "was not taken for a runbook",
                format!("what the steps of `{}` look at besides the servers", compiled.runbook.metadata.name),
                "the servers only".to_owned(),
            ),
        }
        if !found.problems.is_empty() {
            return Err(Failure::Refused(found.problems));
        }
        check_observed(compiled, environment, &self.observations.world)?;
        Ok(self.observations)
    }
}

/// Collects what a snapshot was made for and is not asked for now.
struct Compared<'a> {
    name: &'a str,
    problems: Vec<Refusal>,
}

impl Compared<'_> {
    fn refuse(&mut self, what: &str, expected: String, found: String) {
        self.problems.push(Refusal {
            what: format!("the snapshot {} {what}", self.name),
            expected,
            found,
            evidence: "the head of the snapshot: `environment`, `bindings`, `runbook`".to_owned(),
            action: "take it again: `clickferry inspect -e ENVIRONMENT --for RUNBOOK -p ... -o FILE`".to_owned(),
        });
    }

    fn environment(&mut self, snapshot: &Snapshot, compiled: &CompiledRunbook, environment: &Environment) {
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

    fn runbook(&mut self, taken: &TakenFor, now: &TakenFor) {
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

fn taken_for(compiled: &CompiledRunbook) -> TakenFor {
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
fn bindings(environment: &Environment, compiled: Option<&CompiledRunbook>) -> BTreeMap<String, String> {
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

fn fingerprint(json: &Value) -> String {
    let mut bare = json.clone();
    if let Some(map) = bare.as_object_mut() {
        map.insert("fingerprint".to_owned(), Value::from(""));
    }
    sha256(bare.to_string().as_bytes())
}

fn short(fingerprint: &str) -> String {
    fingerprint.chars().take(12).collect()
}

fn not_one(source: &SourceFile, why: &str) -> Failure {
    Failure::Input(
        Diagnostic::new("bad-snapshot", format!("{} is not a snapshot: {why}", source.name))
            .help("take one with `clickferry inspect -e ENVIRONMENT --for RUNBOOK -o FILE`")
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::environment::{EnvironmentMetadata, StateBinding};

    fn environment(name: &str) -> Environment {
        Environment {
            api_version: String::new(),
            kind: String::new(),
            metadata: EnvironmentMetadata { name: name.to_owned(), labels: BTreeMap::new(), protected: false },
            targets: Default::default(),
            storage: Default::default(),
            state: StateBinding::default(),
        }
    }

    fn read(text: &str) -> Result<Snapshot, Failure> {
        Snapshot::read(&SourceFile::new("s.json", text))
    }

    fn refused(result: Result<Snapshot, Failure>) -> String {
        match result {
            Err(Failure::Refused(all)) => all[0].what.clone(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_snapshot_comes_back_as_it_was_and_no_edit_passes() {
        let snapshot = Snapshot::of_world(&environment("e"), World::default(), "2026-01-01T00:00:00Z".to_owned());
        let text = snapshot.to_text();
        assert_eq!(read(&text).unwrap(), snapshot);
        // Blanks are no content.
        let compact: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read(&compact.to_string()).unwrap(), snapshot);
        let changed = "s.json was changed after it was taken";
        assert_eq!(refused(read(&text.replace("\"e\"", "\"f\""))), changed);
        assert_eq!(refused(read(&text.replace("2026-01", "2027-01"))), changed);
        assert_eq!(refused(read(&text.replace("\"bindings\"", "\"more\": 1, \"bindings\""))), changed);
    }

    #[test]
    fn newer_formats_and_other_files_are_told_apart() {
        let text = Snapshot::of_world(&environment("e"), World::default(), String::new()).to_text();
        assert_eq!(
            refused(read(&text.replace("\"format_version\": 1", "\"format_version\": 2"))),
            "s.json was written by a newer clickferry"
        );
        for text in ["{", "{}", "[]", "{\"kind\":\"Plan\"}"] {
            assert!(matches!(read(text), Err(Failure::Input(_))), "{text}");
        }
    }
}
