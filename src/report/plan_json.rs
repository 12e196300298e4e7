//! A plan for programs: the plan itself, as it is saved, read by `apply` and described by `schemas/plan.v1.json`.

use std::io::{self, Write};

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

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
    serde_json::to_writer_pretty(&mut *writer, plan)?;
    writer.write_all(b"\n")
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
