//! What a plan does that cannot be told before it has run.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::model::observed::World;
use crate::plan::classify::{Change, classify};
use crate::plan::operation::{Effect, Operation};
use crate::plan::plan_file::Plan;
use crate::plan::sql::qualified;

/// What cannot be told before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Untold {
    /// Tables, by database and name, whose exact number of rows is not known before.
    pub rows: BTreeSet<(String, String)>,
    /// In words, for people.
    pub notes: Vec<String>,
}

/// Finds what the simulated world leaves out.
#[must_use]
pub fn untold(plan: &Plan, world: &World) -> Untold {
    let mut found = Untold::default();
    for operation in plan.operations.iter().filter(|operation| operation.effect != Effect::Read) {
        match operation.action.as_str() {
            "run" => found.note(format!("{}: what the command does is not known: {}", operation.id, operation.object)),
            "sql" => found.statements(operation),
            "mark_migrations_clean" => found.marked(operation, world),
            _ => {}
        }
    }
    let is_there = |action: &str| plan.operations.iter().any(|operation| operation.action == action);
    if is_there("backup") && is_there("restore") {
        found.note(
            "rows are those the source holds now; what is written there until the backup is taken comes on top"
                .to_owned(),
        );
    }
    found
}

impl Untold {
    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn statements(&mut self, operation: &Operation) {
        for statement in &operation.statements {
            let Ok(class) = classify(&statement.text) else { continue };
            match class.change {
                Change::Insert { name } => {
                    let database =
                        name.database.or_else(|| statement.database.clone()).unwrap_or_else(|| "system".to_owned());
                    self.note(format!(
                        "{}: how many rows come into {database}.{} is not known",
                        operation.id, name.name
                    ));
                    self.rows.insert((database, name.name));
                }
                Change::CreateTable { name, filled: true, .. } => {
                    let database =
                        name.database.or_else(|| statement.database.clone()).unwrap_or_else(|| "system".to_owned());
                    self.note(format!(
                        "{}: how many rows come into {database}.{} is not known",
                        operation.id, name.name
                    ));
                    self.rows.insert((database, name.name));
                }
                Change::Other if class.effect != Effect::Read => {
                    self.note(format!(
                        "{}: what {} changes is not worked out: {}",
                        operation.id, class.verb, operation.object
                    ));
                }
                _ => {}
            }
        }
    }

    /// One row comes on top where the last one is not clean.
    fn marked(&mut self, operation: &Operation, world: &World) {
        #[derive(Deserialize)]
        struct Marked {
            table: String,
        }
        let Ok(marked) = operation.data.read::<Marked>() else { return };
        let tables = world.targets.values().flat_map(|target| &target.hosts).flat_map(|host| &host.tables);
        let names = tables.filter(|table| qualified(&table.database, &table.name) == marked.table);
        self.rows.extend(names.map(|table| (table.database.clone(), table.name.clone())));
        self.note(format!("{}: {} gets one row more where its last one is not clean", operation.id, marked.table));
    }
}
