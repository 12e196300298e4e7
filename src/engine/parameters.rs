//! Parameters: defaults, values from the command line, and checks of both.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compile::CompileOptions;
use crate::diag::{Diagnostic, Diagnostics};
use crate::model::formats::{check_identifier, parse_duration};
use crate::model::runbook::{Parameter, ParameterType, Runbook};
use crate::model::schema_check::did_you_mean;
use crate::model::yaml::{Document, Node};

/// Parameters with the values used.
#[derive(Clone, Debug, Default)]
pub struct ParameterValues(pub BTreeMap<String, Value>);

impl ParameterValues {
    /// Values with their types, for templates.
    #[must_use]
    pub fn typed(&self, runbook: &Runbook) -> BTreeMap<String, (ParameterType, Value)> {
        self.0
            .iter()
            .filter_map(|(name, value)| {
                runbook.parameters.get(name).map(|parameter| (name.clone(), (parameter.r#type, value.clone())))
            })
            .collect()
    }
}

/// Joins defaults and given values, and reports every mistake in either.
pub fn resolve_parameters(
    document: &Document,
    runbook: &Runbook,
    options: &CompileOptions<'_>,
    found: &mut Diagnostics,
) -> ParameterValues {
    let known: Vec<String> = runbook.parameters.keys().cloned().collect();
    for name in options.given.keys().filter(|name| !known.contains(name)) {
        let help =
            did_you_mean(name, &known).unwrap_or_else(|| format!("parameters of this runbook: {}", known.join(", ")));
        found.push(
            Diagnostic::new("unknown-parameter", format!("`-p {name}=…`: the runbook has no parameter `{name}`"))
                .help(help),
        );
    }
    let nodes = document.root.get("parameters");
    let mut values = BTreeMap::new();
    for (name, parameter) in &runbook.parameters {
        let node = nodes.and_then(|all| all.get(name));
        if let Some(value) = &parameter.default
            && let Err(message) = check_value(parameter, value)
        {
            let mut diagnostic = Diagnostic::new("bad-default", format!("the default of `{name}`: {message}"));
            if let Some(at) = node.and_then(|node| node.get("default")) {
                diagnostic = diagnostic.at(&document.source, at.span, "this default");
            }
            found.push(diagnostic);
        }
        match value_of(name, parameter, options) {
            Ok(Some(value)) => {
                values.insert(name.clone(), value);
            }
            Ok(None) => missing(name, parameter, document, node, found),
            Err(message) => found.push(Diagnostic::new("bad-parameter", format!("`-p {name}=…`: {message}"))),
        }
        // What is missing was told; a stand-in keeps templates that use it from telling it again.
        values.entry(name.clone()).or_insert_with(|| stand_in(name, parameter));
    }
    ParameterValues(values)
}

fn value_of(name: &str, parameter: &Parameter, options: &CompileOptions<'_>) -> Result<Option<Value>, String> {
    if let Some(text) = options.given.get(name) {
        let value = parse_value(parameter.r#type, text)?;
        check_value(parameter, &value)?;
        return Ok(Some(value));
    }
    if let Some(value) = &parameter.default {
        return Ok(Some(value.clone()));
    }
    if !options.allow_missing {
        return Ok(None);
    }
    Ok(Some(stand_in(name, parameter)))
}

/// A value of the right type.
fn stand_in(name: &str, parameter: &Parameter) -> Value {
    parameter.values.first().cloned().unwrap_or_else(|| match parameter.r#type {
        ParameterType::Identifier | ParameterType::String => Value::from(name),
        ParameterType::Integer => Value::from(1),
        ParameterType::Boolean => Value::from(true),
        ParameterType::Duration => Value::from("1m"),
    })
}

fn missing(name: &str, parameter: &Parameter, document: &Document, node: Option<&Node>, found: &mut Diagnostics) {
    let mut diagnostic =
        Diagnostic::new("missing-parameter", format!("the parameter `{name}` is not given")).help(format!(
            "add `-p {name}=…`{}{}",
            if parameter.description.is_empty() { "" } else { ": " },
            parameter.description
        ));
    if let Some(node) = node {
        diagnostic = diagnostic.at(&document.source, node.span, "declared here without a default");
    }
    found.push(diagnostic);
}

fn parse_value(kind: ParameterType, text: &str) -> Result<Value, String> {
    match kind {
        ParameterType::Identifier | ParameterType::String | ParameterType::Duration => Ok(Value::from(text)),
        ParameterType::Integer => {
            text.parse::<i64>().map(Value::from).map_err(|_| format!("`{text}` is not a whole number"))
        }
        ParameterType::Boolean => {
            text.parse::<bool>().map(Value::from).map_err(|_| format!("`{text}` is neither `true` nor `false`"))
        }
    }
}

fn check_value(parameter: &Parameter, value: &Value) -> Result<(), String> {
    match (parameter.r#type, value) {
        (ParameterType::Identifier, Value::String(text)) => check_identifier(text)?,
        (ParameterType::Duration, Value::String(text)) => parse_duration(text).map(|_| ())?,
        (ParameterType::String, Value::String(_)) | (ParameterType::Boolean, Value::Bool(_)) => {}
        (ParameterType::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => {}
        (kind, _) => return Err(format!("{value} is not of the type `{}`", type_name(kind))),
    }
    if !parameter.values.is_empty() && !parameter.values.contains(value) {
        let allowed: Vec<String> = parameter.values.iter().map(ToString::to_string).collect();
        return Err(format!("{value} is not one of {}", allowed.join(", ")));
    }
    Ok(())
}

fn type_name(kind: ParameterType) -> &'static str {
    match kind {
        ParameterType::Identifier => "identifier",
        ParameterType::String => "string",
        ParameterType::Integer => "integer",
        ParameterType::Boolean => "boolean",
        ParameterType::Duration => "duration",
    }
}
