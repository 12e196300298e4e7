//! Checks a document against the very schema that is published for editors, with the place of every mistake.
//!
//! It knows the part of JSON Schema that our types produce. One truth serves editors and the engine.

use std::sync::Arc;

use serde_json::Value;

use super::formats;
use super::yaml::{Node, NodeKind};
use crate::diag::{Diagnostic, Diagnostics, SourceFile};

/// What formats need to know about the rest of the file.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Declared target roles.
    pub targets: Vec<String>,
    /// Declared storage roles.
    pub storage: Vec<String>,
    /// Ids of the `backup` steps before the one that is checked.
    pub backup_steps: Vec<String>,
    /// Whether one of them has lost its id, so that it may be the one that is meant.
    pub has_nameless_backup: bool,
}

/// Walks a document along a schema.
pub struct SchemaCheck<'a> {
    /// The whole schema, for `$ref`.
    pub root: &'a Value,
    /// The file the nodes come from.
    pub source: &'a Arc<SourceFile>,
    /// Names that references are checked against.
    pub names: &'a Names,
    /// What was found.
    pub found: &'a mut Diagnostics,
}

impl SchemaCheck<'_> {
    /// Checks a node against a schema; `what` names the node in messages.
    pub fn check(&mut self, schema: &Value, node: &Node, what: &str) {
        let schema = self.resolve(schema).clone();
        // A template that is not filled in yet stands for any scalar.
        if node.text().is_some_and(is_template) {
            return;
        }
        for keyword in ["anyOf", "oneOf"] {
            // Beside `properties` the options only say which keys go together; the compiler tells that better.
            if let Some(options) = schema.get(keyword).and_then(Value::as_array)
                && schema.get("properties").is_none()
            {
                self.check_options(options, node, what);
                return;
            }
        }
        let types = types_of(&schema);
        let is_duration = schema.get("format").and_then(Value::as_str) == Some("duration");
        if !types.is_empty() && !types.iter().any(|name| fits(name, node)) {
            self.report(
                "wrong-type",
                node,
                format!("{what} must be {}", words(&types)),
                format!("this is {}", node.describe()),
                is_duration.then(|| "write a duration with its unit, such as `90s`, `5m` or `1h 30m`".to_owned()),
            );
            return;
        }
        match &node.kind {
            NodeKind::Map(_) => self.check_map(&schema, node, what),
            NodeKind::List(items) => self.check_list(&schema, node, items, what),
            NodeKind::Text(text) => self.check_text(&schema, node, text, what),
            NodeKind::Number(number) => self.check_number(&schema, node, number, what),
            NodeKind::Null | NodeKind::Bool(_) => {}
        }
    }

    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        while let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
            match self.root.pointer(pointer.trim_start_matches('#')) {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    fn check_options(&mut self, options: &[Value], node: &Node, what: &str) {
        let fitting: Vec<Value> = options
            .iter()
            .map(|option| self.resolve(option).clone())
            .filter(|option| {
                let types = types_of(option);
                let typed = types.is_empty() || types.iter().any(|name| fits(name, node));
                typed && shares_key(option, node)
            })
            .collect();
        if let [only] = fitting.as_slice() {
            self.check(only, node, what);
            return;
        }
        let constants: Vec<String> = options.iter().flat_map(|option| constants_of(self.resolve(option))).collect();
        if !constants.is_empty() && node.text().is_some() {
            self.check_constant(&constants, node, what);
            return;
        }
        let keys: Vec<String> = options.iter().flat_map(|option| keys_of(self.resolve(option))).collect();
        let mut types: Vec<String> = options.iter().flat_map(|option| types_of(self.resolve(option))).collect();
        types.dedup();
        let known = node.entries().filter(|(key, _)| keys.contains(&key.name)).count();
        let needs_one = known != 1 && matches!(node.kind, NodeKind::Map(_)) && !keys.is_empty();
        match node.entries().find(|(key, _)| !keys.contains(&key.name)) {
            Some((key, _)) if !keys.is_empty() => {
                self.unknown_key(&key.name.clone(), key.span, &keys, what);
            }
            None if needs_one => self.report(
                "wrong-type",
                node,
                format!("{what} needs exactly one of: {}", keys.join(", ")),
                if known == 0 { "none is given here" } else { "several are given here" }.to_owned(),
                None,
            ),
            _ => self.report(
                "wrong-type",
                node,
                format!("{what} must be {}", words(&types)),
                format!("this is {}", node.describe()),
                (!keys.is_empty()).then(|| format!("give one of: {}", keys.join(", "))),
            ),
        }
    }

    fn check_map(&mut self, schema: &Value, node: &Node, what: &str) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let additional = schema.get("additionalProperties");
        let known: Vec<String> = properties.map(|map| map.keys().cloned().collect()).unwrap_or_default();
        for (key, child) in node.entries() {
            match (properties.and_then(|map| map.get(&key.name)), additional) {
                (Some(property), _) => self.check(&property.clone(), child, &format!("`{}`", key.name)),
                (None, Some(Value::Bool(false))) => self.unknown_key(&key.name, key.span, &known, what),
                (None, Some(any)) => self.check(&any.clone(), child, &format!("`{}`", key.name)),
                (None, None) => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if node.get(name).is_none() {
                let hint = properties
                    .and_then(|map| map.get(name))
                    .and_then(|property| property.get("description"))
                    .and_then(Value::as_str)
                    .map(|text| format!("`{name}`: {}", text.lines().next().unwrap_or(text)));
                self.report(
                    "missing-key",
                    node,
                    format!("{what} needs `{name}`"),
                    format!("`{name}` is missing here"),
                    hint,
                );
            }
        }
    }

    fn check_list(&mut self, schema: &Value, node: &Node, items: &[Node], what: &str) {
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        if (items.len() as u64) < least {
            self.report(
                "too-few",
                node,
                format!("{what} needs at least {least} entry"),
                "nothing is listed here".to_owned(),
                None,
            );
        }
        if let Some(member) = schema.get("items") {
            let member = member.clone();
            for item in items {
                self.check(&member, item, &format!("an entry of {what}"));
            }
        }
    }

    fn check_text(&mut self, schema: &Value, node: &Node, text: &str, what: &str) {
        let constants = constants_of(schema);
        if !constants.is_empty() {
            self.check_constant(&constants, node, what);
            return;
        }
        let Some(format) = schema.get("format").and_then(Value::as_str) else { return };
        let roles = |role: &str, known: &[String]| -> Result<(), (String, Option<String>)> {
            if known.iter().any(|name| name == text) {
                return Ok(());
            }
            let declared = if known.is_empty() {
                "none is declared".to_owned()
            } else {
                format!("declared: {}", known.join(", "))
            };
            Err((format!("there is no {role} `{text}`"), Some(did_you_mean(text, known).unwrap_or(declared))))
        };
        let plain = |result: Result<(), String>| result.map_err(|message| (message, None));
        let result = match format {
            "target-role" => roles("target role", &self.names.targets),
            "storage-role" => roles("storage role", &self.names.storage),
            "backup-step" if self.names.has_nameless_backup => Ok(()),
            "backup-step" => roles("earlier `backup` step", &self.names.backup_steps),
            "identifier" => plain(formats::check_identifier(text)),
            "table" => plain(formats::parse_table(text).map(|_| ())),
            "duration" => plain(formats::parse_duration(text).map(|_| ())),
            "time-of-day" => plain(formats::parse_time_of_day(text).map(|_| ())),
            "time-zone" => plain(formats::check_time_zone(text)),
            "rate" => plain(formats::parse_rate(text).map(|_| ())),
            "keeper-path" => plain(formats::check_keeper_path(text)),
            _ => Ok(()),
        };
        if let Err((message, help)) = result {
            let code =
                if format.ends_with("role") || format == "backup-step" { "unknown-reference" } else { "bad-value" };
            self.report(code, node, format!("{what}: {message}"), "this value".to_owned(), help);
        }
    }

    fn check_number(&mut self, schema: &Value, node: &Node, number: &serde_json::Number, what: &str) {
        if let (Some(least), Some(value)) = (schema.get("minimum").and_then(Value::as_f64), number.as_f64())
            && value < least
        {
            self.report(
                "bad-value",
                node,
                format!("{what} must be at least {least}"),
                format!("this is {number}"),
                None,
            );
        }
    }

    fn check_constant(&mut self, constants: &[String], node: &Node, what: &str) {
        let text = node.text().unwrap_or_default();
        if constants.iter().any(|constant| constant == text) {
            return;
        }
        let help = did_you_mean(text, constants).unwrap_or_else(|| format!("one of: {}", constants.join(", ")));
        self.report(
            "bad-value",
            node,
            format!("{what} cannot be `{text}`"),
            "not one of the values allowed here".to_owned(),
            Some(help),
        );
    }

    fn unknown_key(&mut self, name: &str, span: crate::diag::Span, known: &[String], what: &str) {
        let help = did_you_mean(name, known).unwrap_or_else(|| format!("known keys: {}", known.join(", ")));
        self.found.push(
            Diagnostic::new("unknown-key", format!("{what} has no key `{name}`"))
                .at(self.source, span, "unknown key")
                .help(help),
        );
    }

    fn report(&mut self, code: &'static str, node: &Node, message: String, label: String, help: Option<String>) {
        let mut diagnostic = Diagnostic::new(code, message).at(self.source, node.span, label);
        diagnostic.help = help;
        self.found.push(diagnostic);
    }
}

/// Whether a text holds a template.
#[must_use]
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// `did you mean ...` for the nearest known name.
#[must_use]
pub fn did_you_mean(name: &str, known: &[String]) -> Option<String> {
    let ratio = |candidate: &str| similar::TextDiff::from_chars(name, candidate).ratio();
    known
        .iter()
        .map(|candidate| (ratio(candidate), candidate))
        .filter(|(score, _)| *score > 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

fn types_of(schema: &Value) -> Vec<String> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name.clone()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn fits(name: &str, node: &Node) -> bool {
    match (name, &node.kind) {
        ("object", NodeKind::Map(_))
        | ("array", NodeKind::List(_))
        | ("string", NodeKind::Text(_))
        | ("boolean", NodeKind::Bool(_))
        | ("null", NodeKind::Null)
        | ("number", NodeKind::Number(_)) => true,
        ("integer", NodeKind::Number(number)) => number.is_i64() || number.is_u64(),
        _ => false,
    }
}

fn words(types: &[String]) -> String {
    let names: Vec<&str> = types
        .iter()
        .filter(|name| *name != "null")
        .map(|name| match name.as_str() {
            "object" => "a mapping",
            "array" => "a list",
            "string" => "text",
            "boolean" => "true or false",
            "integer" => "a whole number",
            "number" => "a number",
            other => other,
        })
        .collect();
    names.join(" or ")
}

fn constants_of(schema: &Value) -> Vec<String> {
    if let Some(Value::String(text)) = schema.get("const") {
        return vec![text.clone()];
    }
    let listed = schema.get("enum").and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn keys_of(schema: &Value) -> Vec<String> {
    schema.get("properties").and_then(Value::as_object).map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

/// An alternative of an enum of mappings fits only where it shares a key with the node; one of constants only
/// where the text is one of them.
fn shares_key(option: &Value, node: &Node) -> bool {
    match &node.kind {
        NodeKind::Map(entries) => {
            let keys = keys_of(option);
            keys.is_empty() || entries.iter().any(|(key, _)| keys.contains(&key.name))
        }
        NodeKind::Text(text) => {
            let constants = constants_of(option);
            constants.is_empty() || constants.iter().any(|constant| constant == text)
        }
        _ => true,
    }
}
