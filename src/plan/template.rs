//! Templates in runbooks: minijinja, strict, with values that know how to stand in SQL.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use super::sql::{TokenKind, identifier, literal, tokenize};
use crate::model::runbook::ParameterType;
use crate::model::schema_check::did_you_mean;

/// Instructions one template may take; more is a loop gone wrong.
const FUEL: u64 = 50_000;

/// A template that could not be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong, without a place.
    pub message: String,
    /// Byte range within the template, where known.
    pub range: Option<std::ops::Range<usize>>,
    /// What to do.
    pub help: Option<String>,
}

/// Fills in templates with the parameters of one run of planning.
pub struct Templates {
    environment: Environment<'static>,
    context: Value,
    names: Vec<String>,
}

impl Templates {
    /// Prepares the values: parameters by name, `run` (late), and `environment.name`.
    #[must_use]
    pub fn new(parameters: &BTreeMap<String, (ParameterType, serde_json::Value)>, environment_name: &str) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(32);
        environment.set_formatter(format_value);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_filter("date", date_filter);
        let mut context: BTreeMap<String, Value> = BTreeMap::new();
        for (name, (kind, value)) in parameters {
            context.insert(name.clone(), parameter_value(*kind, value));
        }
        context.insert("run".to_owned(), Value::from_object(RunValue));
        context
            .insert("environment".to_owned(), Value::from(BTreeMap::from([("name", Value::from(environment_name))])));
        let names = context.keys().cloned().collect();
        Self { environment, context: Value::from(context), names }
    }

    /// Fills in a text that is not SQL.
    ///
    /// # Errors
    /// [`TemplateError`] with its place in the text.
    pub fn text(&self, template: &str) -> Result<String, TemplateError> {
        self.render("text", template)
    }

    /// Fills in SQL: identifiers are quoted with backquotes, texts as literals, numbers stand as they are.
    ///
    /// # Errors
    /// [`TemplateError`] with its place in the text.
    pub fn sql(&self, template: &str) -> Result<String, TemplateError> {
        // Values bring their own quotes; within quotes they would be quoted twice. A text that cannot be cut into
        // tokens before its templates are filled in is checked afterwards.
        let tokens = tokenize(template).unwrap_or_default();
        if let Some(token) = tokens
            .iter()
            .find(|token| token.kind != TokenKind::Word && token.text.len() > 1 && token.text.contains("{{"))
        {
            return Err(TemplateError {
                message: "this template stands within quotes, and its value is quoted by itself".to_owned(),
                range: Some(token.start..token.end()),
                help: Some("leave the quotes around the template out; join texts as `{{ a ~ 'text' }}`".to_owned()),
            });
        }
        self.render("statement.sql", template)
    }

    /// Evaluates an expression such as `database != "default"`.
    ///
    /// # Errors
    /// [`TemplateError`] with its place in the text.
    pub fn condition(&self, expression: &str) -> Result<bool, TemplateError> {
        let bare = expression.trim().trim_start_matches("{{").trim_end_matches("}}");
        let compiled = self.environment.compile_expression(bare).map_err(|error| self.explain(&error, bare))?;
        let unknown = compiled.undeclared_variables(false).into_iter().filter(|name| !self.names.contains(name)).min();
        if let Some(name) = unknown {
            let range = expression.find(&name).map(|at| at..at + name.len());
            return Err(self.undefined(&name, range));
        }
        compiled.eval(self.context.clone()).map(|value| value.is_true()).map_err(|error| self.explain(&error, bare))
    }

    fn render(&self, name: &str, template: &str) -> Result<String, TemplateError> {
        self.environment
            .render_named_str(name, template, self.context.clone())
            .map_err(|error| self.explain(&error, template))
    }

    fn undefined(&self, name: &str, range: Option<std::ops::Range<usize>>) -> TemplateError {
        let defined = format!("defined here: {}; parameters are declared under `parameters:`", self.names.join(", "));
        TemplateError {
            message: format!("`{name}` is not defined"),
            range,
            help: Some(did_you_mean(name, &self.names).unwrap_or(defined)),
        }
    }

    fn explain(&self, error: &Error, template: &str) -> TemplateError {
        let range = error.range().filter(|range| !range.is_empty());
        let (message, help) = match error.kind() {
            ErrorKind::UndefinedError => {
                let name = range.clone().and_then(|range| template.get(range)).unwrap_or("a name").to_owned();
                return self.undefined(&name, range);
            }
            ErrorKind::OutOfFuel => ("the template does not come to an end".to_owned(), None),
            ErrorKind::UnknownFilter => (
                format!("template: {}", error.detail().unwrap_or("unknown filter")),
                Some(
                    "filters are those of minijinja, e.g. `default`, `lower`, `upper`, `replace`, `join`, and `date`"
                        .to_owned(),
                ),
            ),
            kind => {
                let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
                (format!("template: {kind}{detail}"), None)
            }
        };
        TemplateError { message, range, help }
    }
}

/// A parameter of type `identifier`: plain text outside SQL, quoted in SQL.
#[derive(Debug)]
struct IdentifierValue(String);

impl Object for IdentifierValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.0.is_empty()
    }

    fn custom_cmp(self: &Arc<Self>, other: &minijinja::value::DynObject) -> Option<std::cmp::Ordering> {
        other.downcast_ref::<Self>().map(|other| self.0.cmp(&other.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `run`: facts of a run that does not exist yet while planning.
#[derive(Debug)]
struct RunValue;

impl Object for RunValue {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "id" => Some(Value::from("${run.id}")),
            "started" => Some(Value::from_object(StartedValue)),
            _ => None,
        }
    }
}

/// `run.started`: becomes a token, formatted by the filter `date`.
#[derive(Debug)]
struct StartedValue;

impl Object for StartedValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("${run.started %Y-%m-%dT%H:%M:%SZ}")
    }
}

fn date_filter(value: &Value, format: &str, _options: Kwargs) -> Result<Value, Error> {
    let is_started = value.downcast_object_ref::<StartedValue>().is_some();
    if !is_started {
        return Err(Error::new(ErrorKind::InvalidOperation, "`date` formats `run.started` only"));
    }
    if format.contains('}') {
        return Err(Error::new(ErrorKind::InvalidOperation, "the format of `date` cannot hold `}`"));
    }
    jiff::fmt::strtime::format(format, &jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC))
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("the format of `date` is wrong: {error}")))?;
    Ok(Value::from(format!("${{run.started {format}}}")))
}

fn parameter_value(kind: ParameterType, value: &serde_json::Value) -> Value {
    match (kind, value) {
        (ParameterType::Identifier, serde_json::Value::String(text)) => {
            Value::from_object(IdentifierValue(text.clone()))
        }
        (_, serde_json::Value::String(text)) => Value::from(text.as_str()),
        (_, serde_json::Value::Bool(flag)) => Value::from(*flag),
        (_, serde_json::Value::Number(number)) => {
            number.as_i64().map(Value::from).or_else(|| number.as_f64().map(Value::from)).unwrap_or(Value::UNDEFINED)
        }
        _ => Value::UNDEFINED,
    }
}

fn format_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if !state.name().ends_with(".sql") {
        return minijinja::escape_formatter(out, state, value);
    }
    let text = if let Some(name) = value.downcast_object_ref::<IdentifierValue>() {
        identifier(&name.0)
    } else {
        match value.kind() {
            ValueKind::Number => value.to_string(),
            ValueKind::Bool => if value.is_true() { "1" } else { "0" }.to_owned(),
            ValueKind::String | ValueKind::Plain => literal(&value.to_string()),
            other => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("a value of kind {other} cannot stand in SQL"),
                ));
            }
        }
    };
    out.write_str(&text).map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn templates() -> Templates {
        let parameters = BTreeMap::from([
            ("database".to_owned(), (ParameterType::Identifier, json!("de`fault"))),
            ("note".to_owned(), (ParameterType::String, json!("it's"))),
            ("migration".to_owned(), (ParameterType::Integer, json!(7))),
        ]);
        Templates::new(&parameters, "lab")
    }

    #[test]
    fn values_are_quoted_by_their_type_in_sql_only() {
        let templates = templates();
        let template = "{{ database }} {{ note }} {{ migration }}";
        assert_eq!(templates.text(template).as_deref(), Ok("de`fault it's 7"));
        assert_eq!(templates.sql(template).as_deref(), Ok("`de\\`fault` 'it\\'s' 7"));
    }

    #[test]
    fn facts_of_the_run_become_tokens() {
        let templates = templates();
        assert_eq!(
            templates.text("b/{{ run.started | date('%Y') }}/{{ run.id }}").as_deref(),
            Ok("b/${run.started %Y}/${run.id}")
        );
        assert!(templates.text("{{ run.started | date('%!') }}").is_err());
    }

    #[test]
    fn an_undefined_name_is_an_error_with_its_place() {
        let error = templates().sql("SELECT {{ databse }}").expect_err("undefined");
        assert_eq!(error.range, Some(10..17), "{error:?}");
        assert!(error.help.is_some_and(|help| help.contains("database")));
        assert!(templates().condition("migration > 3").expect("valid"));
        let error = templates().condition("databse != 'x'").expect_err("undefined");
        assert_eq!((error.range, error.message.as_str()), (Some(0..7), "`databse` is not defined"));
    }

    #[test]
    fn a_template_within_quotes_is_told_before_it_is_quoted_twice() {
        assert!(templates().sql("SELECT '{{ note }}'").is_err());
        assert!(templates().sql("SELECT `{{ database }}`.t").is_err());
        assert!(templates().sql("SELECT '{{ note").is_err());
        assert_eq!(templates().sql("SELECT 'a', {{ note ~ 'b' }}").as_deref(), Ok("SELECT 'a', 'it\\'sb'"));
    }
}
