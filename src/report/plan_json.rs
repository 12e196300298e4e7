//! A plan for programs: the plan itself, as it is saved, read by `apply` and described by `schemas/plan.v1.json`.

use std::io::{self, Write};

use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};
use serde_json::{Value, json};

use crate::plan::pieces::{Spare, in_pieces};
use crate::plan::plan_file::{PLAN_VERSION, Plan};

/// The plan as JSON, with a line break at its end.
#[must_use]
pub fn render_json(plan: &Plan) -> String {
    let mut text = Vec::new();
    // Plain data with text keys always becomes JSON, which is UTF-8.
    let _ = write_json(plan, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// As [`render_json`], piece by piece: the text of a large plan is larger than the plan.
///
/// # Errors
/// What the writer says.
pub fn write_json(plan: &Plan, writer: &mut dyn Write) -> io::Result<()> {
    let (rest, spare) = (without_lists(plan), Spare::default());
    let text = serde_json::to_string_pretty(&rest)?;
    let [head, middle, tail] = around_lists(&text).ok_or_else(|| io::Error::other("a plan without its lists"))?;
    writer.write_all(head.as_bytes())?;
    write_list(&plan.operations, &spare, writer)?;
    writer.write_all(middle.as_bytes())?;
    write_list(&plan.facts, &spare, writer)?;
    writer.write_all(tail.as_bytes())?;
    writer.write_all(b"\n")
}

/// The plan with no operations and no facts, which are all that there may be many thousands of.
fn without_lists(plan: &Plan) -> Plan {
    Plan {
        format_version: plan.format_version,
        tool_version: plan.tool_version.clone(),
        runbook: plan.runbook.clone(),
        summary: plan.summary.clone(),
        runbook_digest: plan.runbook_digest.clone(),
        runbook_text: plan.runbook_text.clone(),
        runbook_file: plan.runbook_file.clone(),
        environment: plan.environment.clone(),
        protected: plan.protected,
        parameters: plan.parameters.clone(),
        hosts: plan.hosts.clone(),
        steps: plan.steps.clone(),
        operations: Vec::new(),
        totals: plan.totals,
        facts: Vec::new(),
        guards: plan.guards.clone(),
        notes: plan.notes.clone(),
        no_way_back: plan.no_way_back.clone(),
        conversions: plan.conversions.clone(),
        undo_of: plan.undo_of.clone(),
        digest: plan.digest.clone(),
    }
}

/// What stands before the operations, between them and the facts, and behind those. A line that begins with two blanks
/// and a name is one of the plan itself, for a text holds no line break.
fn around_lists(text: &str) -> Option<[&str; 3]> {
    let (head, rest) = text.split_once("\n  \"operations\": []")?;
    let (middle, tail) = rest.split_once("\n  \"facts\": []")?;
    Some([&text[..head.len() + "\n  \"operations\": ".len()], &rest[..middle.len() + "\n  \"facts\": ".len()], tail])
}

/// A list of the plan, indented as it would be with the rest of it.
fn write_list<T: Serialize + Sync>(all: &[T], spare: &Spare, writer: &mut dyn Write) -> io::Result<()> {
    if all.is_empty() {
        return writer.write_all(b"[]");
    }
    let write = |entry: &T, piece: &mut Vec<u8>| {
        piece.extend_from_slice(b",\n    ");
        let mut formatter = PrettyFormatter::new();
        // The entry stands within the plan and within its list.
        formatter.begin_object(&mut io::sink())?;
        formatter.begin_array(&mut io::sink())?;
        entry.serialize(&mut serde_json::Serializer::with_formatter(piece, formatter)).map_err(io::Error::from)
    };
    let mut is_first = true;
    in_pieces(all, spare, write, |piece| {
        writer.write_all(if std::mem::take(&mut is_first) { b"[" } else { b"," })?;
        writer.write_all(&piece[1..])?;
        spare.put(piece);
        Ok(())
    })?;
    writer.write_all(b"\n  ]")
}

/// Schema of a plan.
#[must_use]
pub fn plan_schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut root = generator.into_root_schema_for::<Plan>().to_value();
    root["properties"]["format_version"] =
        json!({ "const": PLAN_VERSION, "type": "integer", "description": "Version of this format." });
    root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{HostName, StepId};
    use crate::plan::fact::Fact;
    use crate::plan::operation::{Effect, Operation};
    use crate::plan::statement::Statement;

    #[test]
    fn pieces_make_the_same_text_as_the_whole() {
        let mut plan: Plan = serde_json::from_value(json!({
            "format_version": 1, "tool_version": "t", "runbook": "r", "summary": "\n  \"operations\": []", "runbook_digest": "d",
            "runbook_text": "x", "runbook_file": "f", "environment": "e", "parameters": { "operations": [], "facts": [] },
            "hosts": [], "steps": [], "operations": [], "facts": [], "guards": {}, "notes": ["n"], "digest": "g"
        }))
        .unwrap();
        let whole = |plan: &Plan| format!("{}\n", serde_json::to_string_pretty(plan).unwrap());
        assert_eq!(render_json(&plan), whole(&plan));
        plan.facts = (0..3000).map(|at| Fact::new(&HostName::from("r1"), format!("a{at}"), "b\nc", "d")).collect();
        assert_eq!(render_json(&plan), whole(&plan));
        plan.operations = vec![
            Operation::new(&StepId::from("s"), "a", "drop", "table `d`.`t`", Effect::Destroy)
                .statement(Statement::late("DROP TABLE ${x}").setting("a", "1"))
                .with_data(&json!({ "z": [1, {}, []], "a": null }));
            2
        ];
        assert_eq!(render_json(&plan), whole(&plan));
        plan.facts.clear();
        assert_eq!(render_json(&plan), whole(&plan));
    }
}
