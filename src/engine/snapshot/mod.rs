//! A snapshot: what was observed for a runbook, as a file, so that a plan can be made where no server is reachable.
//!
//! It holds names, addresses, definitions and numbers, never a secret. Its fingerprint is over everything in it, so
//! that a world edited by hand is found out. The time it was taken at stands in its head and enters no plan.

mod asked;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::asked::TakenFor;
use self::asked::{Compared, bindings, taken_for};
use super::compile::CompiledRunbook;
use super::look::{Observations, check_observed};
use crate::diag::{Diagnostic, Failure, Refusal, SourceFile};
use crate::model::environment::Environment;
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
        Self::new(environment, None, Observations { world, steps: BTreeMap::new(), local: Vec::new() }, taken)
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
