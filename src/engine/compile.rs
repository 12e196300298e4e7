//! From text to a checked runbook and environment: every mistake with its place, all in one go.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

use super::action::Action;
use super::arguments::{Argument, render_arguments};
use super::guard::read_guards;
use super::parameters::{ParameterValues, resolve_parameters};
use super::schema::{Catalogue, runbook_schema};
use crate::diag::{Diagnostic, Diagnostics, SourceFile};
use crate::model::ids::StepId;
use crate::model::runbook::{
    Guards, Parameter, ParameterType, Runbook, RunbookMetadata, StepCommon, StorageKind, StorageNeed, TargetNeed,
    Topology,
};
use crate::model::schema_check::{Names, SchemaCheck, did_you_mean};
use crate::model::yaml::{self, Document, Node, NodeKind};
use crate::plan::template::{TemplateError, Templates};

/// A runbook whose templates are filled in and whose every part was checked.
pub struct CompiledRunbook {
    /// The file.
    pub source: Arc<SourceFile>,
    /// Everything but the steps.
    pub runbook: Runbook,
    /// Parameters with the values used.
    pub parameters: ParameterValues,
    /// Steps in order.
    pub steps: Vec<CompiledStep>,
}

/// One step.
pub struct CompiledStep {
    /// Id.
    pub id: StepId,
    /// The keys every step may have.
    pub common: StepCommon,
    /// Its action.
    pub action: &'static dyn Action,
    /// The action's arguments, templates filled in.
    pub arguments: Value,
    /// Why the step is left out, if it is.
    pub skipped: Option<String>,
}

/// What the checker of a runbook is given besides the text.
pub struct CompileOptions<'a> {
    /// The actions.
    pub catalogue: &'a Catalogue,
    /// Values from the command line, by name.
    pub given: &'a BTreeMap<String, String>,
    /// Name of the environment, for templates; a made-up one when only validating.
    pub environment: &'a str,
    /// Stand-ins are used for required parameters that are not given, to check the rest (`validate`).
    pub allow_missing: bool,
}

/// Checks a runbook and fills in its templates.
///
/// # Errors
/// Every mistake found.
pub fn compile(source: &Arc<SourceFile>, options: &CompileOptions<'_>) -> Result<CompiledRunbook, Diagnostics> {
    let document = yaml::parse(source)?;
    let mut found = Diagnostics::default();
    let schema = runbook_schema(options.catalogue);
    let names = names_of(&document.root);
    let head = without_action_bodies(&schema, options.catalogue);
    check(&head, &head, &document.root, source, &names, "the runbook", &mut found);
    check_kind(&document, "Runbook", &mut found);
    let mut runbook = read_head(&document.root);
    let parameters = resolve_parameters(&document, &runbook, options, &mut found);
    let templates = Templates::new(&parameters.typed(&runbook), options.environment);
    runbook.guards = read_guards(&document.root, source, &templates, &mut found);
    let mut compiler =
        Compiler { document: &document, schema: &schema, names, templates, catalogue: options.catalogue, found };
    let steps = compiler.steps();
    compiler.found.into_result(CompiledRunbook { source: Arc::clone(source), runbook, parameters, steps })
}

struct Compiler<'a> {
    document: &'a Document,
    schema: &'a Value,
    names: Names,
    templates: Templates,
    catalogue: &'a Catalogue,
    found: Diagnostics,
}

impl Compiler<'_> {
    fn steps(&mut self) -> Vec<CompiledStep> {
        let mut steps = Vec::new();
        let mut seen: BTreeMap<String, &Node> = BTreeMap::new();
        for node in self.document.root.get("steps").map(Node::items).unwrap_or_default() {
            if let Some(id_node) = node.get("id")
                && let Some(id) = id_node.text()
            {
                self.check_id(id, id_node);
                if let Some(first) = seen.insert(id.to_owned(), id_node) {
                    self.found.push(
                        Diagnostic::new("duplicate-id", format!("two steps have the id `{id}`"))
                            .at(&self.document.source, id_node.span, "used again here")
                            .at(&self.document.source, first.span, "first used here")
                            .help("give each step an id of its own; plans and journals name steps by it"),
                    );
                }
            }
            steps.extend(self.step(node));
            // Also one that is not right itself: who refers to it is not wrong on that account.
            if node.get("backup").is_some() {
                match node.get("id").and_then(Node::text) {
                    Some(id) => self.names.backup_steps.push(id.to_owned()),
                    None => self.names.has_nameless_backup = true,
                }
            }
        }
        steps
    }

    fn check_id(&mut self, id: &str, node: &Node) {
        let fine = !id.is_empty()
            && id.len() <= 64
            && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
        if !fine {
            self.found.push(
                Diagnostic::new("bad-id", format!("`{id}` cannot be the id of a step"))
                    .at(&self.document.source, node.span, "this id")
                    .help("use lower-case letters, digits, `-` and `_`, at most 64 of them"),
            );
        }
    }

    fn step(&mut self, node: &Node) -> Option<CompiledStep> {
        let actions: Vec<(&crate::model::yaml::Key, &Node, &'static dyn Action)> = node
            .entries()
            .filter_map(|(key, body)| {
                self.catalogue.iter().find(|action| action.name() == key.name).map(|action| (key, body, *action))
            })
            .collect();
        let (key, body, action) = match actions.as_slice() {
            [one] => *one,
            [] => {
                self.missing_action(node);
                return None;
            }
            [_, (second, ..), ..] => {
                self.found.push(
                    Diagnostic::new("several-actions", "a step has exactly one action")
                        .at(&self.document.source, second.span, "a second action")
                        .help("make it a step of its own"),
                );
                return None;
            }
        };
        let common = self.common(node, action.name());
        let skipped = self.skipped(node, &common);
        let arguments = self.arguments(body, action)?;
        for error in action.check(&arguments.to_json()) {
            let at = arguments.find(&error.pointer);
            let mut diagnostic = Diagnostic::new("bad-value", format!("`{}`: {}", action.name(), error.message));
            diagnostic = diagnostic.at(&self.document.source, at.map_or(key.span, |node| node.span), "here");
            diagnostic.help = error.help;
            self.found.push(diagnostic);
        }
        Some(CompiledStep { id: StepId(common.id.clone()), common, action, arguments: arguments.to_json(), skipped })
    }

    fn missing_action(&mut self, node: &Node) {
        let known: Vec<String> = self.catalogue.iter().map(|action| action.name().to_owned()).collect();
        let common = ["id", "description", "when", "timeout", "retry", "on_failure", "confirm", "point_of_no_return"];
        if !matches!(node.kind, NodeKind::Map(_)) {
            return;
        }
        // An unknown key has been reported already; it is most likely a misspelt action.
        if node
            .entries()
            .any(|(key, _)| !common.contains(&key.name.as_str()) && did_you_mean(&key.name, &known).is_some())
        {
            return;
        }
        self.found.push(
            Diagnostic::new("no-action", "this step has no action")
                .at(&self.document.source, node.span, "one action is needed here")
                .help(format!("one of: {}", known.join(", "))),
        );
    }

    /// The typed common keys; mistakes in them were reported by the schema.
    fn common(&mut self, node: &Node, action: &str) -> StepCommon {
        let mut json = node.to_json();
        if let Some(map) = json.as_object_mut() {
            map.remove(action);
        }
        StepCommon::deserialize(&json).unwrap_or_else(|_| StepCommon {
            id: node.get("id").and_then(Node::text).unwrap_or_default().to_owned(),
            ..StepCommon::default()
        })
    }

    fn skipped(&mut self, node: &Node, common: &StepCommon) -> Option<String> {
        let condition = common.when.as_deref()?;
        let at = node.get("when")?;
        match self.templates.condition(condition) {
            Ok(true) => None,
            Ok(false) => Some(format!("`when: {condition}` is false")),
            Err(error) => {
                self.found.push(template_diagnostic(&self.document.source, at, condition, error));
                None
            }
        }
    }

    /// Fills in the templates of an action's arguments and checks the result against its schema.
    fn arguments(&mut self, body: &Node, action: &'static dyn Action) -> Option<Argument> {
        let schema = self.schema["$defs"]["StepCommon"]["properties"][action.name()].clone();
        let before = self.found.len();
        let rendered = render_arguments(body, &schema, self.schema, &self.templates, &mut |node, text, error| {
            self.found.push(template_diagnostic(&self.document.source, node, text, error));
        });
        check(
            self.schema,
            &schema,
            &rendered,
            &self.document.source,
            &self.names,
            &format!("`{}`", action.name()),
            &mut self.found,
        );
        (self.found.len() == before).then_some(Argument(rendered))
    }
}

/// A template error at its place in the file.
fn template_diagnostic(source: &Arc<SourceFile>, node: &Node, text: &str, error: TemplateError) -> Diagnostic {
    let slice = source.text.get(node.span.start..node.span.start + node.span.len).unwrap_or_default();
    // The text of a block or quoted scalar differs from its source by indentation and quotes, so the failing
    // piece itself is looked for.
    let piece = error.range.clone().and_then(|range| text.get(range));
    let span = piece
        .and_then(|piece| slice.find(piece).map(|at| (at, piece.len())))
        .map_or(node.span, |(at, len)| crate::diag::Span::new(node.span.start + at, len));
    let mut diagnostic = Diagnostic::new("template", error.message).at(source, span, "in this template");
    diagnostic.help = error.help;
    diagnostic
}

/// Bodies of actions are checked step by step, after their templates are filled in.
fn without_action_bodies(schema: &Value, catalogue: &Catalogue) -> Value {
    let mut head = schema.clone();
    for action in catalogue {
        head["$defs"]["StepCommon"]["properties"][action.name()] = Value::Object(serde_json::Map::new());
    }
    head
}

/// A text that still is a template has been reported as such, or is filled in later; it stands for any scalar.
pub(super) fn check(
    root: &Value,
    schema: &Value,
    node: &Node,
    source: &Arc<SourceFile>,
    names: &Names,
    what: &str,
    found: &mut Diagnostics,
) {
    SchemaCheck { root, source, names, found }.check(schema, node, what);
}

pub(super) fn check_kind(document: &Document, kind: &str, found: &mut Diagnostics) {
    let other = if kind == "Runbook" { "Environment" } else { "Runbook" };
    if document.root.get("kind").and_then(Node::text) == Some(other) {
        found.push(
            Diagnostic::new("wrong-file", format!("{} is an {other}, not a {kind}", document.source.name))
                .help("runbooks are given as arguments, the environment with `-e`"),
        );
    }
}

fn names_of(root: &Node) -> Names {
    let keys = |name: &str| {
        root.get(name).map(|node| node.entries().map(|(key, _)| key.name.clone()).collect()).unwrap_or_default()
    };
    Names { targets: keys("targets"), storage: keys("storage"), ..Names::default() }
}

/// The typed head of the file. What the schema has already reported is replaced by something harmless, so that the
/// rest of the file can be checked in the same go.
fn read_head(root: &Node) -> Runbook {
    let section = |name: &str| root.get(name).map(Node::to_json).unwrap_or_default();
    Runbook {
        api_version: String::new(),
        kind: String::new(),
        metadata: RunbookMetadata::deserialize(&section("metadata"))
            .unwrap_or_else(|_| RunbookMetadata { name: String::new(), summary: String::new() }),
        parameters: entries(&section("parameters"), |value| Parameter {
            r#type: ParameterType::String,
            default: value.get("default").filter(|value| value.is_string()).cloned(),
            description: String::new(),
            values: Vec::new(),
        }),
        targets: entries(&section("targets"), |_| TargetNeed { topology: Topology::Standalone, min_replicas: None }),
        storage: entries(&section("storage"), |_| StorageNeed { kind: StorageKind::S3 }),
        // They are read when the values of templates are known.
        guards: Guards::default(),
        steps: Vec::new(),
    }
}

fn entries<T: for<'de> Deserialize<'de>>(section: &Value, instead: impl Fn(&Value) -> T) -> IndexMap<String, T> {
    let members = section.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.clone(), T::deserialize(value).unwrap_or_else(|_| instead(value)))).collect()
}
