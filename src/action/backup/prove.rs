//! Proves a backup from the bucket alone, and compares it with what the source holds now.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::engine::action::{Holds, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::manifest::{Manifest, ManifestError, read, read_head};
use crate::plan::sql::{literal, qualified};

use super::plan::BackupData;
use super::run::bucket;
use super::tables::has_rows;

/// Reads the manifest: every file's object with its size, no planned table missing, rows per table. A source may be
/// written to all the time, so rows that differ from its present ones are told and not refused.
pub(crate) async fn prove(context: &RunContext<'_>) -> Result<Value, RunError> {
    let data: BackupData = context.data()?;
    let path = context.fill_path(&data.path)?;
    let objects = bucket(context, &data.storage).map_err(|error| *error)?;
    let manifest = read(objects, &path).await.map_err(|error| RunError {
        // A store that does not answer says nothing about the backup.
        kind: if matches!(error, ManifestError::Objects(_)) { RunErrorKind::AskProbe } else { RunErrorKind::Broken },
        class: error.class(),
        refusal: error.refusal(&format!("{} {}", context.operation.id, context.operation.object)),
    })?;
    let missing: Vec<String> = data
        .tables
        .iter()
        .filter(|table| manifest.table(&table.database, &table.table).is_none())
        .map(|table| format!("{}.{}", table.database, table.table))
        .collect();
    if !missing.is_empty() {
        return Err(context.fail(
            RunErrorKind::Broken,
            "tables of the plan are not in the backup",
            format!("{} tables", data.tables.len()),
            format!("without {}", missing.join(", ")),
            format!("the manifest {path}/.backup in {}", objects.describe()),
            "somebody changed the source while it was backed up: plan again",
        ));
    }
    let source = source_rows(context, &data).await;
    let mut differences = Vec::new();
    let tables: Vec<Value> = manifest
        .tables
        .iter()
        .map(|table| {
            // Views have none; of some engines only the definition is taken.
            let rows = table.rows.filter(|_| has_rows(&table.engine, &table.create_query));
            let now = source.get(&(table.database.clone(), table.table.clone())).copied().flatten();
            if let Some(now) = now.filter(|now| Some(*now) != rows && !(rows.is_none() && *now == 0)) {
                differences.push(json!({ "database": table.database, "table": table.table, "backup": rows, "source": now }));
            }
            json!({ "database": table.database, "table": table.table, "engine": table.engine, "rows": rows, "bytes": table.bytes, "source_rows": now })
        })
        .collect();
    Ok(json!({
        "shard": data.shard,
        "storage": data.storage,
        "path": path,
        "uuid": manifest.head.uuid,
        "timestamp": manifest.head.timestamp,
        "tables": tables,
        "rows": total(&manifest, |table| table.rows.unwrap_or(0)),
        "bytes": total(&manifest, |table| table.bytes),
        "files": manifest.files,
        "differences": differences,
    }))
}

fn total(manifest: &Manifest, of: impl Fn(&crate::engine::manifest::ManifestTable) -> u64) -> u64 {
    manifest.tables.iter().map(of).sum()
}

/// Rows of the source right now; a table that cannot be asked is left out.
async fn source_rows(context: &RunContext<'_>, data: &BackupData) -> BTreeMap<(String, String), Option<u64>> {
    let mut rows = BTreeMap::new();
    let Ok(host) = context.host() else { return rows };
    let mut databases: Vec<String> = data.tables.iter().map(|table| literal(&table.database)).collect();
    databases.dedup();
    let query =
        format!("SELECT database, name, total_rows FROM system.tables WHERE database IN ({})", databases.join(", "));
    let Ok(answer) = context.read(host, query).await else { return rows };
    for row in 0..answer.rows.len() {
        if let (Some(database), Some(name)) = (answer.text(row, "database"), answer.text(row, "name")) {
            rows.insert((database, name), answer.number(row, "total_rows"));
        }
    }
    rows.retain(|(database, name), _| {
        data.tables
            .iter()
            .any(|table| table.database == *database && table.table == *name && rows_are_its_own(&table.engine))
    });
    for table in data.tables.iter().filter(|table| table.engine == "TinyLog") {
        // TinyLog does not tell its rows in system.tables.
        if let Ok(answer) = context
            .read(host, format!("SELECT count() AS rows FROM {}", qualified(&table.database, &table.table)))
            .await
        {
            rows.insert((table.database.clone(), table.table.clone()), answer.number(0, "rows"));
        }
    }
    rows
}

/// Merge and Buffer tables tell rows of other tables; a view without a hidden table tells none.
fn rows_are_its_own(engine: &str) -> bool {
    !matches!(engine, "Merge" | "Buffer" | "Distributed" | "Null" | "View" | "Dictionary")
}

/// The backup is still the one that was proved.
pub(crate) async fn still_holds(context: &RunContext<'_>, outcome: &Value) -> Holds {
    let text = |key: &str| outcome.get(key).and_then(Value::as_str).unwrap_or_default();
    let (path, storage) = (text("path"), text("storage"));
    let objects = match bucket(context, storage) {
        Ok(objects) => objects,
        Err(error) => return Holds::CannotTell(Box::new(error.refusal)),
    };
    match read_head(objects, path).await {
        Ok(head) if head.uuid == text("uuid") && head.timestamp == text("timestamp") => Holds::Yes,
        Ok(head) => Holds::No(Box::new(context.refusal(
            format!("another backup is at {path}"),
            format!("the backup {} of {}", text("uuid"), text("timestamp")),
            format!("the backup {} of {}", head.uuid, head.timestamp),
            format!("the manifest {path}/.backup in {}", objects.describe()),
            "find out who wrote there; plan again with another path",
        ))),
        Err(error) => {
            let refusal = Box::new(error.refusal(&format!("{} {}", context.operation.id, context.operation.object)));
            if matches!(error, ManifestError::Objects(_)) { Holds::CannotTell(refusal) } else { Holds::No(refusal) }
        }
    }
}
