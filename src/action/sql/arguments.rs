//! The arguments of `sql`, and the mistakes in them that can be told without a server.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::action::select::{Every, Scalar};
use crate::engine::action::ArgumentError;
use crate::model::formats::{DatabaseName, SqlText, TargetRole};
use crate::plan::classify::{Change, Classified, Losing, Name, classify};
use crate::plan::operation::Effect;
use crate::plan::sql::split_statements;

/// Arguments of `sql`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlArguments {
    /// Target whose hosts get the statements.
    pub on: TargetRole,
    /// Which hosts of the target.
    #[serde(default)]
    pub every: Every,
    /// The statements, in order; an entry may hold several with `;` between them. Every one is sent to each
    /// selected host directly, and the next one starts when all hosts have answered.
    #[schemars(length(min = 1))]
    pub statements: Vec<SqlText>,
    /// Current database of the statements and queries; `system` when absent.
    #[serde(default)]
    pub database: Option<DatabaseName>,
    /// A read-only query that tells whether the changing statement took effect. Without it a run stops for a
    /// person when the answer of a changing statement is lost (DROP, TRUNCATE and CREATE of one object need none).
    #[serde(default)]
    pub probe: Option<SqlProbe>,
    /// A read-only query whose value must be right after the last statement, on every selected host.
    #[serde(default)]
    pub expect: Option<SqlExpect>,
    /// What destroying statements take away on each host, where it cannot be told from the statement.
    #[serde(default)]
    pub loss: Option<DeclaredLoss>,
    /// Statements that take the whole step back on a host where all of its statements are done; `clickferry undo`
    /// sends them in this order.
    #[serde(default)]
    pub undo: Vec<SqlText>,
    /// A read-only query that tells whether the changing statement of `undo` took effect.
    #[serde(default)]
    pub undo_probe: Option<SqlProbe>,
    /// What destroying statements of `undo` take away on each host; needed for every statement that destroys.
    #[serde(default)]
    pub undo_loss: Option<DeclaredLoss>,
}

/// Tells whether a change took effect.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlProbe {
    /// A query that answers one value.
    pub query: SqlText,
    /// The value that means that the change took effect; every other value means that it did not.
    pub done_when: Scalar,
}

/// A post-condition.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlExpect {
    /// A query that answers one value.
    pub query: SqlText,
    /// The value it must answer.
    pub equals: Scalar,
    /// Whether it is asked again when the run is resumed; `false` where later steps change it on purpose.
    #[serde(default = "yes")]
    pub lasting: bool,
}

fn yes() -> bool {
    true
}

/// A loss that the author declares.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredLoss {
    /// Most tables dropped or emptied.
    #[serde(default)]
    pub tables: u64,
    /// Most rows taken away.
    #[serde(default)]
    pub rows: u64,
}

/// One statement of the step, and what is known about it.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// Its text.
    pub text: String,
    /// What it does.
    pub class: Classified,
}

impl SqlArguments {
    /// The statements one by one.
    ///
    /// # Errors
    /// Every mistake with its place.
    pub fn parse(&self) -> Result<Vec<Parsed>, Vec<ArgumentError>> {
        self.parse_all("/statements", &self.statements, Self::check_statement)
    }

    /// The statements of `undo` one by one.
    ///
    /// # Errors
    /// Every mistake with its place.
    pub fn parse_undo(&self) -> Result<Vec<Parsed>, Vec<ArgumentError>> {
        self.parse_all("/undo", &self.undo, Self::check_undo)
    }

    fn parse_all(
        &self,
        list: &str,
        entries: &[SqlText],
        check: fn(&Self, &str, &Classified) -> Vec<ArgumentError>,
    ) -> Result<Vec<Parsed>, Vec<ArgumentError>> {
        let mut parsed = Vec::new();
        let mut errors = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            let pointer = format!("{list}/{at}");
            match split_statements(entry.as_str()) {
                Err((byte, reason)) => {
                    errors.push(error(&pointer, format!("{reason} (at byte {byte})"), Some("close it")))
                }
                Ok(texts) if texts.is_empty() => {
                    errors.push(error(
                        &pointer,
                        "this entry holds no statement",
                        Some("write a statement or remove the entry"),
                    ));
                }
                Ok(texts) => {
                    for text in texts {
                        match classify(text) {
                            Ok(class) => {
                                errors.extend(check(self, &pointer, &class));
                                parsed.push(Parsed { text: text.to_owned(), class });
                            }
                            Err(forbidden) => errors.push(error(&pointer, forbidden.message, Some(&forbidden.help))),
                        }
                    }
                }
            }
        }
        if errors.is_empty() { Ok(parsed) } else { Err(errors) }
    }

    /// Every mistake that can be told without a server.
    #[must_use]
    pub fn check(&self) -> Vec<ArgumentError> {
        let mut errors = Vec::new();
        match self.parse() {
            Err(found) => errors.extend(found),
            Ok(parsed) => {
                let changing = parsed.iter().filter(|one| one.class.effect != Effect::Read).count();
                if self.probe.is_some() && changing != 1 {
                    let message = format!("a `probe` tells about one changing statement, and this step has {changing}");
                    errors.push(error("/probe", message, Some("make a step of its own for each changing statement")));
                }
            }
        }
        match self.parse_undo() {
            Err(found) => errors.extend(found),
            Ok(parsed) => {
                let changing = parsed.iter().filter(|one| one.class.effect != Effect::Read).count();
                if self.undo_probe.is_some() && changing != 1 {
                    let message =
                        format!("an `undo_probe` tells about one changing statement, and `undo` has {changing}");
                    errors.push(error("/undo_probe", message, Some("write `undo` as one changing statement")));
                }
            }
        }
        if let Some(probe) = &self.undo_probe {
            errors.extend(check_query("/undo_probe/query", probe.query.as_str()));
        }
        if let Some(probe) = &self.probe {
            errors.extend(check_query("/probe/query", probe.query.as_str()));
        }
        if let Some(expect) = &self.expect {
            errors.extend(check_query("/expect/query", expect.query.as_str()));
        }
        errors
    }

    /// When an undo is planned, nothing is simulated: what it destroys must be declared.
    fn check_undo(&self, pointer: &str, class: &Classified) -> Vec<ArgumentError> {
        let mut errors = Vec::new();
        if class.effect == Effect::Destroy && self.undo_loss.is_none() {
            errors.push(error(
                pointer,
                format!("how much `{}` destroys when the step is taken back is not declared", class.verb),
                Some("declare it for each host: `undo_loss: { tables: N, rows: N }`"),
            ));
        }
        if matches!(class.change, Change::Insert { .. }) && self.every == Every::Replica {
            errors.push(error(
                pointer,
                "the rows would be inserted on every replica, and be there more than once in a replicated table",
                Some("give the step `every: shard` (or `every: any`)"),
            ));
        }
        errors
    }

    fn check_statement(&self, pointer: &str, class: &Classified) -> Vec<ArgumentError> {
        let mut errors = Vec::new();
        if class.losing == Losing::Unclear && self.loss.is_none() {
            errors.push(error(
                pointer,
                format!("how much `{}` may destroy cannot be told from the statement", class.verb),
                Some("correct it, or declare what is lost on each host: `loss: { tables: N, rows: N }`"),
            ));
        }
        if class.effect == Effect::Destroy && self.database.is_none() {
            for name in named(class).into_iter().filter(|name| name.database.is_none()) {
                errors.push(error(
                    pointer,
                    format!("`{}` names the table `{}` without its database", class.verb, name.name),
                    Some("write `database.table`, or give the step a `database:`"),
                ));
            }
        }
        errors
    }
}

/// The tables that a destroying statement names.
fn named(class: &Classified) -> Vec<&Name> {
    match (&class.change, &class.losing) {
        (Change::DropTables { names, .. }, _) => names.iter().collect(),
        (Change::Truncate { name, .. }, _) | (_, Losing::AtMost(name)) => vec![name],
        _ => Vec::new(),
    }
}

/// Mistakes in a query that must only read.
#[must_use]
pub fn check_query(pointer: &str, query: &str) -> Option<ArgumentError> {
    match split_statements(query).as_deref() {
        Err((byte, reason)) => Some(error(pointer, format!("{reason} (at byte {byte})"), Some("close it"))),
        Ok([one]) => match classify(one) {
            Ok(class) if class.effect == Effect::Read => None,
            Ok(class) => Some(error(
                pointer,
                format!("this query must only read, and `{}` does not", class.verb),
                Some("write a SELECT"),
            )),
            Err(forbidden) => Some(error(pointer, forbidden.message, Some(&forbidden.help))),
        },
        Ok(several) => Some(error(
            pointer,
            format!("expected one query, found {} statements", several.len()),
            Some("write one SELECT"),
        )),
    }
}

/// A query without a semicolon at its end.
#[must_use]
pub fn one_query(query: &SqlText) -> String {
    match split_statements(query.as_str()).as_deref() {
        Ok([one]) => (*one).to_owned(),
        _ => query.as_str().trim().to_owned(),
    }
}

/// A mistake at a place.
#[must_use]
pub fn error(pointer: &str, message: impl Into<String>, help: Option<&str>) -> ArgumentError {
    ArgumentError { pointer: pointer.to_owned(), message: message.into(), help: help.map(str::to_owned) }
}
