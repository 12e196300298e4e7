//! The digest of a plan, without a copy of it: SHA-256 over the JSON of [`Plan::binding`], written piece by piece.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use serde::Serialize;
use serde::ser::Serializer;
use sha2::{Digest, Sha256};

use super::conversion::PlannedConversion;
use super::data::Exact;
use super::fact::Fact;
use super::operation::{Effect, Loss, Operation, Past};
use super::pieces::{Spare, WINDOW, in_pieces};
use super::plan_file::{Plan, PlannedHost, PlannedStep, Totals, hex};
use super::statement::Statement;
use super::text_diff::TextDiff;
use crate::model::ids::{HostName, OperationId, RunId, StepId};
use crate::model::runbook::Guards;

/// The digest, hexadecimal. Operations and facts are written in pieces, side by side, and another thread computes the
/// digest of what there is so far.
pub fn of(plan: &Plan) -> serde_json::Result<String> {
    let (written, pieces) = sync_channel::<Vec<u8>>(WINDOW);
    let spare = Spare::default();
    thread::scope(|scope| {
        let hashing = scope.spawn(|| {
            let mut hasher = Sha256::new();
            pieces.into_iter().for_each(|piece| {
                hasher.update(&piece);
                spare.put(piece);
            });
            hex(&hasher.finalize())
        });
        write(plan, &Pieces(written, &spare))?;
        hashing.join().map_err(|_| serde_json::Error::io(io::Error::other("the digest could not be computed")))
    })
}

/// Writes the JSON of the binding plan.
fn write(plan: &Plan, out: &Pieces<'_>) -> serde_json::Result<()> {
    let binding = Binding::of(plan);
    out.put(b"{".to_vec())?;
    out.put(fields(&binding.head)?)?;
    out.put(b",\"operations\":[".to_vec())?;
    out.list(binding.operations, BindingOperation::of)?;
    out.put(b"],".to_vec())?;
    out.put(fields(&binding.middle)?)?;
    out.put(b",\"facts\":[".to_vec())?;
    out.list(binding.facts, |fact| fact)?;
    out.put(b"],".to_vec())?;
    out.put(fields(&binding.tail)?)?;
    out.put(b"}".to_vec())
}

/// The fields of an object, without the brackets around them.
fn fields<T: Serialize>(object: &T) -> serde_json::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(object)?;
    text.pop();
    text.remove(0);
    Ok(text)
}

/// What is written, on its way to the digest.
struct Pieces<'s>(SyncSender<Vec<u8>>, &'s Spare);

impl Pieces<'_> {
    fn put(&self, piece: Vec<u8>) -> serde_json::Result<()> {
        self.0.send(piece).map_err(|error| serde_json::Error::io(io::Error::other(error)))
    }

    /// Writes the entries of a list with commas between them.
    fn list<'p, T: Sync, W: Serialize>(&self, all: &'p [T], of: impl Fn(&'p T) -> W + Sync) -> serde_json::Result<()> {
        let mut is_first = true;
        let write = |entry: &'p T, piece: &mut Vec<u8>| {
            piece.push(b',');
            serde_json::to_writer(piece, &of(entry))
        };
        in_pieces(all, self.1, write, |mut piece| {
            if std::mem::take(&mut is_first) {
                piece.remove(0);
            }
            self.put(piece)
        })
    }
}

/// The fields of a plan in their order, without what [`Plan::binding`] takes out.
struct Binding<'p> {
    head: Head<'p>,
    operations: &'p [Operation],
    middle: Middle,
    facts: &'p [Fact],
    tail: Tail<'p>,
}

/// The fields before the operations.
#[derive(Serialize)]
struct Head<'p> {
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
}

/// The fields between the operations and the facts.
#[derive(Serialize)]
struct Middle {
    totals: Totals,
}

/// The fields behind the facts.
#[derive(Serialize)]
struct Tail<'p> {
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
        let head = Head {
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
        };
        let middle = Middle { totals: Totals { loss: Loss { bytes: 0, ..totals.loss }, ..*totals } };
        let tail = Tail { guards, notes, no_way_back, conversions, undo_of, digest: "" };
        Self { head, operations, middle, facts, tail }
    }
}

fn conversions<S: Serializer>(all: &&[PlannedConversion], serializer: S) -> Result<S::Ok, S::Error> {
    // Few are left out with rows; the others are binding as they are.
    serializer.collect_seq(all.iter().map(|conversion| match conversion.rows_behind {
        Some(_) => Cow::Owned(conversion.binding()),
        None => Cow::Borrowed(conversion),
    }))
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
            plan.facts = (0..3000).map(|at| Fact::new(&HostName::from("r1"), format!("a{at}"), "b", "c")).collect();
            let plan = plan.sealed();
            let text = serde_json::to_vec(&plan.binding()).unwrap();
            assert_eq!(plan.digest, sha256(&text));
        }
    }
}
