//! A plan for programs: the plan itself, as it is saved, read by `apply` and described by `schemas/plan.v1.json`.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::plan::plan_file::{PLAN_VERSION, Plan};

/// The plan as JSON, with a line break at its end.
#[must_use]
pub fn render_json(plan: &Plan) -> String {
    // Plain data with text keys always becomes JSON.
    let mut text = serde_json::to_string_pretty(plan).unwrap_or_default();
    text.push('\n');
    text
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
