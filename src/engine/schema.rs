//! Schemas of the files users write: checked against by the engine, published for editors.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::action::Action;
use crate::model::environment::Environment;
use crate::model::runbook::{Runbook, StepCommon};

/// The actions a runbook may use.
pub type Catalogue = [&'static dyn Action];

/// Schema of `kind: Runbook`, with every action of the catalogue as a key of a step.
#[must_use]
pub fn runbook_schema(catalogue: &Catalogue) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let common = generator.subschema_for::<StepCommon>().to_value();
    let mut properties = Map::new();
    for action in catalogue {
        let schema = action.schema(&mut generator).to_value();
        let mut entry = Map::new();
        entry.insert("description".to_owned(), json!(action.summary()));
        if let Some(map) = schema.as_object() {
            entry.extend(map.clone());
            entry.insert("description".to_owned(), json!(action.summary()));
        }
        properties.insert(action.name().to_owned(), Value::Object(entry));
    }
    let mut root = generator.into_root_schema_for::<Runbook>().to_value();
    let mut step = resolve(&root, &common);
    if let Some(known) = step.get_mut("properties").and_then(Value::as_object_mut) {
        known.extend(properties);
    }
    step["oneOf"] = catalogue.iter().map(|action| json!({ "required": [action.name()] })).collect();
    step["title"] = json!("Step");
    if let Some(definitions) = root.get_mut("$defs").and_then(Value::as_object_mut) {
        definitions.insert("StepCommon".to_owned(), step);
    }
    root["properties"]["steps"]["items"] = json!({ "$ref": "#/$defs/StepCommon" });
    constant(&mut root, "Runbook");
    root
}

/// Schema of `kind: Environment`.
#[must_use]
pub fn environment_schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut root = generator.into_root_schema_for::<Environment>().to_value();
    constant(&mut root, "Environment");
    root
}

fn constant(root: &mut Value, kind: &str) {
    root["properties"]["apiVersion"] =
        json!({ "const": "clickferry/v1", "type": "string", "description": "Version of this format." });
    root["properties"]["kind"] = json!({ "const": kind, "type": "string", "description": "Kind of this file." });
}

fn resolve(root: &Value, schema: &Value) -> Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(pointer) => root.pointer(pointer.trim_start_matches('#')).cloned().unwrap_or_default(),
        None => schema.clone(),
    }
}
