//! Turns a source's CREATE statement into the one for a replicated target.

use std::ops::Range;

use super::array_join::array_join_name;
use super::ddl::{Ddl, Engine, ObjectKind};
use super::engines::{Fate, fate, plain_merge_tree};
use super::sources::{DictionarySource, dictionary_source};
use super::told::{demands, notes, secret};
use crate::plan::sql::{literal, tokenize};

/// What becomes of the Log family, which has no replicated form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTables {
    /// `ReplicatedMergeTree`.
    Convert,
    /// As they are, on every replica for itself.
    Keep,
    /// Not created.
    Skip,
}

/// How replicated tables are named in Keeper.
#[derive(Clone, Copy, Debug)]
pub struct Replication<'a> {
    /// Template of the path; `{database}` and `{table}` are filled in here, other macros by the server.
    pub path: &'a str,
    /// Template of the replica's name.
    pub replica: &'a str,
    /// What becomes of the Log family.
    pub log_tables: LogTables,
}

/// The statement for the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// What it makes.
    pub kind: ObjectKind,
    /// The statement.
    pub text: String,
    /// Engine of the table (of the hidden table of a materialized view); empty for views and dictionaries.
    pub engine: String,
    /// Path and replica name, with the server's macros, where it is replicated.
    pub replicated: Option<(String, String)>,
    /// What must be there on every new server by the same name.
    pub demands: Vec<Demand>,
    /// What a reviewer should know.
    pub notes: Vec<String>,
}

/// Something of a server's configuration that a definition names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A storage policy.
    Policy(String),
    /// A disk.
    Disk(String),
    /// A cluster.
    Cluster(String),
    /// A user, as whom a view runs.
    User(String),
}

/// Why a statement has no form for a replicated target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its rows would stay on one replica.
    Local,
    /// It would take rows out of a queue at once.
    Queue,
    /// It holds a password, or a `[HIDDEN]` one.
    Secret,
    /// `MergeTree(date, key, granularity)`.
    OldSyntax,
    /// A materialized view that refreshes itself.
    Refreshable,
    /// A dictionary that is filled from a file or a program of the server's machine.
    Machine,
    /// A materialized view that puts out the name of an `arrayJoin`, for which it has no column.
    ArrayJoin,
    /// Engine or statement not understood.
    Unknown,
}

/// What becomes of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// It is created.
    Create(Box<Created>),
    /// It is left out; the words say why.
    Skip(String),
    /// It cannot be created; the words say what was found.
    Refuse(Reason, String),
}

/// Converts one statement.
#[must_use]
pub fn to_replicated(text: &str, replication: &Replication<'_>) -> Conversion {
    let ddl = match Ddl::parse(text) {
        Ok(ddl) => ddl,
        Err(reason) => return Conversion::Refuse(Reason::Unknown, reason),
    };
    if let Some(found) = secret(&ddl) {
        return Conversion::Refuse(Reason::Secret, found);
    }
    if ddl.kind == ObjectKind::MaterializedView {
        let end = ddl.select().unwrap_or(ddl.tokens.len());
        if ddl.has_word(ddl.body.min(end)..end, "REFRESH") {
            return Conversion::Refuse(Reason::Refreshable, "REFRESH".to_owned());
        }
    }
    if let Some(DictionarySource::Machine(kind)) = dictionary_source(&ddl) {
        return Conversion::Refuse(Reason::Machine, format!("SOURCE({kind}(...))"));
    }
    if let Some(found) = array_join_name(&ddl).filter(|found| found.has_no_column) {
        return Conversion::Refuse(Reason::ArrayJoin, format!("{}; rewrite: {}", found.found(), found.rewrite()));
    }
    let mut edits: Vec<(Range<usize>, String)> = ddl.own.iter().map(|range| (range.clone(), String::new())).collect();
    let mut made = Created {
        kind: ddl.kind,
        text: String::new(),
        engine: String::new(),
        replicated: None,
        demands: demands(&ddl),
        notes: notes(&ddl),
    };
    match (ddl.kind, ddl.engine()) {
        (ObjectKind::Table, None) => {
            return Conversion::Refuse(Reason::Unknown, "no ENGINE".to_owned());
        }
        (ObjectKind::Table | ObjectKind::MaterializedView, Some(engine)) => {
            match place(&ddl, &engine, replication, &mut made) {
                Ok(edit) => edits.extend(edit),
                Err(other) => return *other,
            }
        }
        (ObjectKind::View | ObjectKind::Dictionary | ObjectKind::MaterializedView, _) => {}
    }
    made.text = splice(text, edits);
    Conversion::Create(Box::new(made))
}

/// The change of the engine clause, if any.
fn place(
    ddl: &Ddl<'_>,
    engine: &Engine,
    replication: &Replication<'_>,
    made: &mut Created,
) -> Result<Option<(Range<usize>, String)>, Box<Conversion>> {
    let refuse = |reason: Reason, words: String| Err(Box::new(Conversion::Refuse(reason, words)));
    made.engine.clone_from(&engine.name);
    let database = ddl.database.as_deref().unwrap_or_default();
    let path = expand_names(replication.path, database, &ddl.name);
    let replica = expand_names(replication.replica, database, &ddl.name);
    let place = format!("{}, {}", literal(&path), literal(&replica));
    match fate(&engine.name) {
        Fate::Replicate => {
            if is_old_syntax(ddl, engine) {
                return refuse(Reason::OldSyntax, engine.name.clone());
            }
            let plain = plain_merge_tree(&engine.name).unwrap_or("MergeTree");
            made.engine = format!("Replicated{plain}");
            let kept = former_arguments(ddl, engine);
            let text = kept.iter().fold(format!("{}({place}", made.engine), |text, range| {
                format!("{text}, {}", &ddl.text[range.clone()])
            });
            made.replicated = Some((path, replica));
            Ok(Some((engine.span.clone(), format!("{text})"))))
        }
        Fate::Log => match replication.log_tables {
            LogTables::Skip => Err(Box::new(Conversion::Skip(format!("engine {}, `log_tables: skip`", engine.name)))),
            LogTables::Keep => {
                made.notes
                    .push(format!("stays {}: every replica has its own rows, and nothing copies them", engine.name));
                Ok(None)
            }
            LogTables::Convert => {
                let key = if is_migrations(ddl) { "sequence" } else { "tuple()" };
                made.engine = "ReplicatedMergeTree".to_owned();
                made.replicated = Some((path, replica));
                made.notes.push(format!(
                    "becomes ReplicatedMergeTree ORDER BY {key}; RESTORE cannot bring rows of {} into it (error 608, \
                     the files differ), only INSERT can",
                    engine.name
                ));
                // The server writes the granularity into every MergeTree it makes; written here, the statement
                // stays what is found afterwards.
                let has_settings = ddl.has_word(engine.behind..ddl.tokens.len(), "SETTINGS");
                let tail = if has_settings { "" } else { " SETTINGS index_granularity = 8192" };
                Ok(Some((engine.span.clone(), format!("ReplicatedMergeTree({place}) ORDER BY {key}{tail}"))))
            }
        },
        Fate::AsItIs(words) => {
            made.notes.push(format!("engine {} is created as it is: it {words}", engine.name));
            Ok(None)
        }
        Fate::Outside => {
            let named = engine.arguments.first().is_some_and(|first| !ddl.text[first.clone()].starts_with(['\'', '"']));
            if !named {
                return refuse(Reason::Secret, format!("engine {} with its arguments", engine.name));
            }
            made.notes.push(format!(
                "engine {} is created as it is: its named collection must exist on the new servers",
                engine.name
            ));
            Ok(None)
        }
        Fate::Local => refuse(Reason::Local, engine.name.clone()),
        Fate::Queue => refuse(Reason::Queue, engine.name.clone()),
        Fate::Unknown => refuse(Reason::Unknown, format!("engine {}", engine.name)),
    }
}

/// Path and replica name stand first where they are given; everything behind them belongs to the plain engine.
fn former_arguments<'e>(ddl: &Ddl<'_>, engine: &'e Engine) -> &'e [Range<usize>] {
    let is_text = |at: usize| engine.arguments.get(at).is_some_and(|range| ddl.text[range.clone()].starts_with('\''));
    let replicated = engine.name.starts_with("Replicated") || engine.name.starts_with("Shared");
    if replicated && is_text(0) && is_text(1) { &engine.arguments[2..] } else { &engine.arguments }
}

/// The old form gives date, key and granularity as arguments and has neither ORDER BY nor PRIMARY KEY.
fn is_old_syntax(ddl: &Ddl<'_>, engine: &Engine) -> bool {
    let end = ddl.select().unwrap_or(ddl.tokens.len());
    let behind = engine.behind.min(end)..end;
    if ddl.has_word(behind.clone(), "ORDER") || ddl.has_word(behind, "PRIMARY") {
        return false;
    }
    !ddl.tokens[ddl.body.min(engine.at)..engine.at]
        .windows(2)
        .any(|two| two[0].depth == 1 && two[0].is_word("PRIMARY") && two[1].is_word("KEY"))
}

/// Exactly the columns that golang-migrate gives its table.
fn is_migrations(ddl: &Ddl<'_>) -> bool {
    let mut columns = ddl.columns();
    columns.sort();
    columns == ["dirty", "sequence", "version"]
}

/// `{database}` and `{table}` filled in: a stored definition that still holds them makes RENAME fail.
#[must_use]
pub fn expand_names(template: &str, database: &str, table: &str) -> String {
    template.replace("{database}", &path_part(database)).replace("{table}", &path_part(table))
}

/// A name as one part of a Keeper path: what would end the part, or look like a macro, is written as `%XX`.
#[must_use]
pub fn path_part(name: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(name.len());
    for character in name.chars() {
        if matches!(character, '/' | '{' | '}' | '%') || character.is_control() {
            // Writing into a String cannot fail.
            let _ = write!(out, "%{:02X}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// Applies edits that do not overlap; two blanks that an empty one leaves become one.
fn splice(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (range, new) in edits {
        out.push_str(&text[at..range.start]);
        at = range.end;
        if new.is_empty() && out.ends_with(' ') && text[at..].starts_with(' ') {
            at += 1;
        }
        out.push_str(&new);
    }
    out.push_str(&text[at..]);
    debug_assert!(tokenize(&out).is_ok(), "{out}");
    out
}

#[cfg(test)]
mod tests;
