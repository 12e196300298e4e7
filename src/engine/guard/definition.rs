//! Reads `guards:` of a runbook. A limit that comes from the command line is none, so nothing in it is a template,
//! but for the databases that must not be written to.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::diag::{Diagnostic, Diagnostics, SourceFile};
use crate::model::formats::check_identifier;
use crate::model::guards::Guards;
use crate::model::schema_check::is_template;
use crate::model::yaml::{Node, NodeKind};
use crate::plan::template::Templates;

/// Reads the guards of a runbook that was checked against its schema.
pub fn read_guards(root: &Node, source: &Arc<SourceFile>, templates: &Templates, found: &mut Diagnostics) -> Guards {
    let Some(node) = root.get("guards") else { return Guards::default() };
    let mut json = node.to_json();
    no_templates(node, source, &mut Vec::new(), found);
    let databases = node.get("write_freeze").and_then(|freeze| freeze.get("databases"));
    for (at, item) in databases.map(Node::items).unwrap_or_default().iter().enumerate() {
        let Some(text) = item.text().filter(|text| is_template(text)) else { continue };
        let filled = templates.text(text).map_err(|error| error.message);
        match filled.and_then(|name| check_identifier(&name).map(|()| name)) {
            Ok(name) => json["write_freeze"]["databases"][at] = Value::String(name),
            Err(message) => found.push(Diagnostic::new("template", message).at(source, item.span, "in this template")),
        }
    }
    match Guards::deserialize(&json) {
        Ok(guards) => guards,
        // What the schema has reported is not reported again.
        Err(_) if !found.is_empty() => Guards::default(),
        Err(error) => {
            found.push(Diagnostic::new("guards", format!("the guards cannot be read: {error}")).at(
                source,
                node.span,
                "in these guards",
            ));
            Guards::default()
        }
    }
}

fn no_templates<'n>(node: &'n Node, source: &Arc<SourceFile>, path: &mut Vec<&'n str>, found: &mut Diagnostics) {
    match &node.kind {
        NodeKind::Map(entries) => {
            for (key, child) in entries {
                path.push(&key.name);
                no_templates(child, source, path, found);
                path.pop();
            }
        }
        NodeKind::List(items) => items.iter().for_each(|item| no_templates(item, source, path, found)),
        NodeKind::Text(text) if is_template(text) && *path != ["write_freeze", "databases"] => found.push(
            Diagnostic::new("template", "a guard cannot be a template: the command line must not change a limit")
                .at(source, node.span, "this limit")
                .help("write the value itself, and have the runbook reviewed when it changes"),
        ),
        _ => {}
    }
}
