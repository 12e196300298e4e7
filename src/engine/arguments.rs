//! An action's arguments with templates filled in: still a tree with places, so that mistakes can be shown.

use serde_json::Value;

use crate::model::schema_check::is_template;
use crate::model::yaml::{Node, NodeKind};
use crate::plan::template::{TemplateError, Templates};

/// Arguments after templates.
pub struct Argument(pub Node);

impl Argument {
    /// The arguments as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.0.to_json()
    }

    /// The node at a path such as `/statements/0`.
    #[must_use]
    pub fn find(&self, pointer: &str) -> Option<&Node> {
        pointer.split('/').filter(|part| !part.is_empty()).try_fold(&self.0, |node, part| match &node.kind {
            NodeKind::List(items) => part.parse::<usize>().ok().and_then(|at| items.get(at)),
            _ => node.get(part),
        })
    }
}

/// Fills in every template below a node. Texts whose schema has the format `sql` are filled in as SQL; a text that
/// is nothing but a template and whose schema wants a number or a flag becomes one.
pub fn render_arguments(
    node: &Node,
    schema: &Value,
    root: &Value,
    templates: &Templates,
    report: &mut dyn FnMut(&Node, &str, TemplateError),
) -> Node {
    let schema = resolve(schema, root);
    let kind = match &node.kind {
        NodeKind::Text(text) => {
            let is_sql =
                alternatives(schema, root).any(|option| option.get("format").and_then(Value::as_str) == Some("sql"));
            let rendered = if is_sql {
                templates.sql(text)
            } else if is_template(text) {
                templates.text(text)
            } else {
                Ok(text.clone())
            };
            match rendered {
                Ok(filled) if is_template(text) => retype(filled, schema, root),
                Ok(filled) => NodeKind::Text(filled),
                Err(error) => {
                    report(node, text, error);
                    NodeKind::Text(text.clone())
                }
            }
        }
        NodeKind::List(items) => {
            let member = alternatives(schema, root).find_map(|option| option.get("items")).unwrap_or(&Value::Null);
            NodeKind::List(items.iter().map(|item| render_arguments(item, member, root, templates, report)).collect())
        }
        NodeKind::Map(entries) => NodeKind::Map(
            entries
                .iter()
                .map(|(key, child)| {
                    let property = property_schema(schema, root, &key.name);
                    (key.clone(), render_arguments(child, property, root, templates, report))
                })
                .collect(),
        ),
        other => other.clone(),
    };
    Node { kind, span: node.span }
}

fn property_schema<'a>(schema: &'a Value, root: &'a Value, name: &str) -> &'a Value {
    alternatives(schema, root)
        .find_map(|option| {
            option.get("properties").and_then(|map| map.get(name)).or_else(|| option.get("additionalProperties"))
        })
        .unwrap_or(&Value::Null)
}

fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let mut schema = schema;
    while let Some(target) =
        schema.get("$ref").and_then(Value::as_str).and_then(|pointer| root.pointer(pointer.trim_start_matches('#')))
    {
        schema = target;
    }
    schema
}

/// The schema itself and the options of its `anyOf` and `oneOf`.
fn alternatives<'a>(schema: &'a Value, root: &'a Value) -> impl Iterator<Item = &'a Value> {
    let options =
        ["anyOf", "oneOf"].into_iter().filter_map(|keyword| schema.get(keyword).and_then(Value::as_array)).flatten();
    std::iter::once(schema).chain(options).map(|option| resolve(option, root))
}

fn retype(text: String, schema: &Value, root: &Value) -> NodeKind {
    let wants = |name: &str| {
        alternatives(schema, root).any(|option| match option.get("type") {
            Some(Value::String(one)) => one == name,
            Some(Value::Array(several)) => several.iter().any(|one| one == name),
            _ => false,
        })
    };
    if !wants("string") {
        if (wants("integer") || wants("number"))
            && let Ok(number) = text.trim().parse::<i64>()
        {
            return NodeKind::Number(number.into());
        }
        if wants("boolean")
            && let Ok(flag) = text.trim().parse::<bool>()
        {
            return NodeKind::Bool(flag);
        }
    }
    NodeKind::Text(text)
}
