//! The digest of a plan, without a copy of it: SHA-256 over the JSON of [`Plan::binding`], written piece by piece.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};
use sha2::{Digest, Sha256};

use super::conversion::PlannedConversion;
use super::data::Exact;
use super::fact::Fact;
use super::operation::{Effect, Loss, Operation, Past};
use super::plan_file::{Plan, PlannedHost, PlannedStep, Totals, hex};
use super::statement::Statement;
use super::text_diff::TextDiff;
use crate::model::ids::{HostName, OperationId, RunId, StepId};
use crate::model::runbook::Guards;

/// Bytes that are handed over at a time.
const BLOCK: usize = 1 << 17;

/// The digest, hexadecimal. Another thread computes it of what this one has written so far.
pub fn of(plan: &Plan) -> serde_json::Result<String> {
    let (written, blocks) = sync_channel::<Vec<u8>>(4);
    thread::scope(|scope| {
        let hashing = scope.spawn(move || {
            let mut hasher = Sha256::new();
            blocks.iter().for_each(|block| hasher.update(&block));
            hex(&hasher.finalize())
        });
        let mut writer = BufWriter::with_capacity(BLOCK, Blocks(written));
        serde_json::to_writer(&mut writer, &Binding::of(plan))?;
        // The channel ends with it.
        drop(writer.into_inner().map_err(|error| serde_json::Error::io(error.into_error()))?);
        hashing.join().map_err(|_| serde_json::Error::io(io::Error::other("the digest could not be computed")))
    })
}

struct Blocks(SyncSender<Vec<u8>>);

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The fields of a plan in their order, without what [`Plan::binding`] takes out.
#[derive(Serialize)]
struct Binding<'p> {
    format_version: u32,
    tool_version: &'p str,
    runbook: &'p str,
    summary: &'p str,
    runbook_digest: &'p str,
    runbook_text: &'p str,
    runbook_file: &'p str,
    environment: &'p str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    protected: bool,
    parameters: &'p BTreeMap<String, serde_json::Value>,
    hosts: &'p [PlannedHost],
    steps: &'p [PlannedStep],
    #[serde(serialize_with = "operations")]
    operations: &'p [Operation],
    totals: Totals,
    facts: &'p [Fact],
    guards: &'p Guards,
    notes: &'p [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    no_way_back: &'p BTreeMap<StepId, String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "conversions")]
    conversions: &'p [PlannedConversion],
    #[serde(skip_serializing_if = "Option::is_none")]
    undo_of: &'p Option<RunId>,
    digest: &'p str,
}

impl<'p> Binding<'p> {
    fn of(plan: &'p Plan) -> Self {
        // Every field by its name: one that is added to a plan has to be added here.
        let Plan {
            format_version,
            tool_version,
            runbook,
            summary,
            runbook_digest,
            runbook_text: _,
            runbook_file: _,
            environment,
            protected,
            parameters,
            hosts,
            steps,
            operations,
            totals,
            facts,
            guards,
            notes,
            no_way_back,
            conversions,
            undo_of,
            digest: _,
        } = plan;
        Self {
            format_version: *format_version,
            tool_version,
            runbook,
            summary,
            runbook_digest,
            runbook_text: "",
            runbook_file: "",
            environment,
            protected: *protected,
            parameters,
            hosts,
            steps,
            operations,
            totals: Totals { loss: Loss { bytes: 0, ..totals.loss }, ..*totals },
            facts,
            guards,
            notes,
            no_way_back,
            conversions,
            undo_of,
            digest: "",
        }
    }
}

fn operations<S: Serializer>(all: &&[Operation], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(all.len()))?;
    for operation in *all {
        list.serialize_element(&BindingOperation::of(operation))?;
    }
    list.end()
}

fn conversions<S: Serializer>(all: &&[PlannedConversion], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(all.iter().map(PlannedConversion::binding))
}

#[derive(Serialize)]
struct BindingOperation<'p> {
    id: &'p OperationId,
    step: &'p StepId,
    action: &'p str,
    kind: &'p str,
    target: &'p Option<String>,
    host: &'p Option<HostName>,
    object: &'p str,
    effect: Effect,
    loss: Loss,
    statements: &'p [Statement],
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: &'p Option<Arc<TextDiff>>,
    wave: u32,
    lane: &'p str,
    before: &'p str,
    after: &'p str,
    check: &'p str,
    data: Exact<'p>,
    #[serde(skip_serializing_if = "Option::is_none")]
    past: &'p Option<Box<Past>>,
    estimate_rows: Option<u64>,
    estimate_bytes: Option<u64>,
}

impl<'p> BindingOperation<'p> {
    fn of(operation: &'p Operation) -> Self {
        let Operation {
            id,
            step,
            action,
            kind,
            target,
            host,
            object,
            effect,
            loss,
            statements,
            diff,
            wave,
            lane,
            before,
            after,
            check,
            data,
            past,
            estimate_rows: _,
            estimate_bytes: _,
        } = operation;
        Self {
            id,
            step,
            action,
            kind,
            target,
            host,
            object,
            effect: *effect,
            loss: Loss { bytes: 0, ..*loss },
            statements,
            diff,
            wave: *wave,
            lane,
            before,
            after,
            check,
            data: data.exact(),
            past,
            estimate_rows: None,
            estimate_bytes: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan_file::sha256;

    #[test]
    fn the_digest_is_that_of_the_binding_plan() {
        for past in [None, Some(Past { run: RunId::from("r"), operation: OperationId::from("s/1") })] {
            let mut plan: Plan = serde_json::from_value(serde_json::json!({
                "format_version": 1, "tool_version": "t", "runbook": "r", "summary": "s", "runbook_digest": "d",
                "runbook_text": "x", "runbook_file": "f", "environment": "e", "parameters": { "p": 1 }, "hosts": [],
                "steps": [], "operations": [], "facts": [], "guards": {}, "notes": ["n"], "digest": ""
            }))
            .unwrap();
            let mut operation = Operation::new(&StepId::from("s"), "a", "drop", "table `d`.`t`", Effect::Destroy)
                .on("role", &HostName::from("r1"))
                .statement(Statement::late("DROP TABLE ${x}").setting("a", "1").in_database(Some("d")))
                .made_from(TextDiff::between("x", "CREATE TABLE a ENGINE = Log", "CREATE TABLE a ENGINE = TinyLog"))
                .loses(Loss { tables: 1, rows: 2, bytes: 3, keeper_nodes: 4 })
                .with_data(&serde_json::json!({ "z": [1, -1, 0.5, null], "a": "x\n\"\u{e9}" }));
            operation.estimate_rows = Some(5);
            operation.estimate_bytes = Some(6);
            operation.past = past.clone().map(Box::new);
            plan.protected = past.is_some();
            plan.undo_of = past.map(|past| past.run);
            plan.operations = vec![operation];
            plan.no_way_back = BTreeMap::from([(StepId::from("s"), "why".to_owned())]);
            plan.conversions = serde_json::from_value(serde_json::json!([{
                "step": "s", "database": "d", "name": "t", "fate": "left_out", "engine_before": "Log", "rows_behind": 7
            }]))
            .unwrap();
            plan.facts = vec![Fact::new(&HostName::from("r1"), "a", "b", "c")];
            let plan = plan.sealed();
            let text = serde_json::to_vec(&plan.binding()).unwrap();
            assert_eq!(plan.digest, sha256(&text));
        }
    }
}
