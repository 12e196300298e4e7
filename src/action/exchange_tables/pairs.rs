//! The pairs of a step as names, and the mistakes in them that can be told without a server.

use std::collections::BTreeMap;

use super::Arguments;
use super::swap::Named;
use crate::engine::action::ArgumentError;
use crate::model::formats::{check_identifier, parse_table};

/// Both names of every pair.
///
/// # Errors
/// What is wrong with a name, with its place.
pub fn pairs(arguments: &Arguments) -> Result<Vec<[Named; 2]>, Vec<ArgumentError>> {
    let (mut pairs, mut errors) = (Vec::new(), Vec::new());
    for (at, pair) in arguments.pairs.iter().enumerate() {
        let mut read = |key: &str, text: &str| {
            named(arguments, text)
                .map_err(|message| errors.push(error(format!("/pairs/{at}/{key}"), message, help(arguments))))
                .ok()
        };
        if let (Some(table), Some(with)) = (read("table", &pair.table), read("with", &pair.with)) {
            pairs.push([table, with]);
        }
    }
    if errors.is_empty() { Ok(pairs) } else { Err(errors) }
}

fn named(arguments: &Arguments, text: &str) -> Result<Named, String> {
    match &arguments.database {
        Some(database) => {
            check_identifier(text)?;
            Ok(Named { database: database.as_str().to_owned(), name: text.to_owned() })
        }
        None => parse_table(text).map(|(database, name)| Named { database, name }),
    }
}

fn help(arguments: &Arguments) -> &'static str {
    match arguments.database {
        Some(_) => "with `database`, write the name of the table alone",
        None => "write `database.table`, or give the step a `database`",
    }
}

fn error(pointer: String, message: impl Into<String>, help: &str) -> ArgumentError {
    ArgumentError { pointer, message: message.into(), help: Some(help.to_owned()) }
}

/// Mistakes that the schema cannot express.
pub fn check(arguments: &Arguments) -> Vec<ArgumentError> {
    let pairs = match pairs(arguments) {
        Ok(pairs) => pairs,
        Err(errors) => return errors,
    };
    let mut errors = Vec::new();
    let mut first: BTreeMap<&Named, usize> = BTreeMap::new();
    for (at, pair) in pairs.iter().enumerate() {
        for (key, named) in ["table", "with"].into_iter().zip(pair) {
            let pointer = format!("/pairs/{at}/{key}");
            if ["system", "information_schema"].contains(&named.database.to_ascii_lowercase().as_str()) {
                let message = format!("`{}` belongs to the server itself", named.database);
                errors.push(error(pointer, message, "name tables of yours"));
            } else if let Some(before) = first.insert(named, at) {
                let message = match before == at {
                    true => format!("{} cannot be exchanged with itself", named.sql()),
                    false => format!("{} stands in pair {} already", named.sql(), before + 1),
                };
                let help = "a table stands in one pair only; to give three tables new names, use two steps";
                errors.push(error(pointer, message, help));
            }
        }
    }
    errors
}
