//! The verbs of ClickHouse SQL, one by one (statements of 26.7; older servers know fewer).

use super::{Change, Classified, Forbidden, Losing, Name, Words};
use crate::plan::operation::Effect;
use crate::plan::sql::Token;

/// What has no place in a runbook.
pub(super) fn forbidden(tokens: &[Token<'_>]) -> Result<(), Forbidden> {
    let words = Words(tokens);
    let refuse = |message: &str, help: &str| Err(Forbidden { message: message.to_owned(), help: help.to_owned() });
    match words.word(0).as_str() {
        "" if tokens.is_empty() => return refuse("the statement is empty", "write a statement or remove the entry"),
        "BACKUP" => {
            return refuse("BACKUP is an action of its own", "use a `backup` step: it proves what is in the backup");
        }
        "RESTORE" => {
            return refuse(
                "RESTORE is an action of its own",
                "use a `restore` step: a RESTORE that is repeated doubles every row",
            );
        }
        "SET" => {
            return refuse(
                "SET lasts for one statement only, since every statement has a session of its own",
                "write the setting into the statement: `... SETTINGS name = value`",
            );
        }
        "USE" => {
            return refuse(
                "USE lasts for one statement only, since every statement has a session of its own",
                "give the step a `database:`",
            );
        }
        "BEGIN" | "COMMIT" | "ROLLBACK" => {
            return refuse("transactions need one session for several statements", "leave it out");
        }
        "WATCH" => return refuse("WATCH has no end", "use a `wait_for` step"),
        _ => {}
    }
    let names_cluster = words.find(&["ON", "CLUSTER"]).is_some();
    if names_cluster && !matches!(words.word(0).as_str(), "SELECT" | "WITH" | "EXPLAIN") {
        return refuse(
            "ON CLUSTER only puts the statement into a queue: after a time-out it stays there, and a host that comes back days later still carries it out",
            "leave ON CLUSTER out and write `every: replica`: the statement goes to every host directly, one journal record each",
        );
    }
    if words.find(&["PARALLEL", "WITH"]).is_some() {
        return refuse("PARALLEL WITH puts several statements into one", "write them as separate statements");
    }
    if words.find(&["INTO", "OUTFILE"]).is_some() {
        return refuse(
            "INTO OUTFILE is for ClickHouse's own client",
            "leave it out: the result is shown in the run's report",
        );
    }
    if starts_reading(&words) && words.find(&["FORMAT"]).is_some_and(|at| at > 0 && at + 2 >= tokens.len()) {
        return refuse(
            "a FORMAT clause hides the result from the engine",
            "leave it out: the result is shown in the run's report",
        );
    }
    Ok(())
}

fn starts_reading(words: &Words<'_>) -> bool {
    matches!(words.word(0).as_str(), "SELECT" | "SHOW" | "DESCRIBE" | "DESC" | "EXISTS" | "EXPLAIN" | "CHECK" | "FROM")
        || opens_query(words)
        || (words.word(0) == "WITH" && words.find(&["SELECT"]).is_some() && words.find(&["INSERT", "INTO"]).is_none())
}

/// `(SELECT ...) UNION ALL ...`
fn opens_query(words: &Words<'_>) -> bool {
    let brackets = words.0.iter().take_while(|token| token.is_symbol("(")).count();
    brackets > 0 && matches!(words.word(brackets).as_str(), "SELECT" | "WITH")
}

struct Found {
    effect: Effect,
    words: usize,
    object: Option<Name>,
    change: Change,
    losing: Losing,
}

/// Tells what the statement does from its first words.
pub(super) fn by_verb(words: &Words<'_>) -> Classified {
    let found = if starts_reading(words) {
        simple(Effect::Read, 1)
    } else {
        match words.word(0).as_str() {
            "DROP" => drop(words),
            "TRUNCATE" => truncate(words),
            "CREATE" => create(words),
            "REPLACE" => replaced(words, 2),
            "INSERT" => insert(words, 0),
            "WITH" => words.find(&["INSERT", "INTO"]).map_or_else(|| unclear(1), |at| insert(words, at)),
            "ALTER" => alter(words),
            "DELETE" => at_most(words, 2, 2),
            "OPTIMIZE" => optimize(words),
            "DETACH" => detach(words),
            "SYSTEM" => system(words),
            "KILL" | "EXCHANGE" => simple(Effect::Destroy, 2),
            "ATTACH" | "RENAME" | "UNDROP" | "MOVE" | "GRANT" | "REVOKE" | "UPDATE" => simple(Effect::Write, 2),
            _ => unclear(1),
        }
    };
    let verb: Vec<String> = (0..found.words).map(|at| words.word(at)).take_while(|word| !word.is_empty()).collect();
    let several = matches!(&found.change, Change::DropTables { names, .. } if names.len() > 1)
        || matches!(found.change, Change::TruncateDatabase { .. });
    let moves_data = words.holds("SELECT") || words.holds("INSERT");
    let chains = matches!(words.word(0).as_str(), "RENAME" | "EXCHANGE");
    Classified {
        effect: found.effect,
        verb: verb.join(" "),
        object: found.object,
        change: found.change,
        losing: found.losing,
        all_or_nothing: !several && !moves_data && !chains,
    }
}

fn simple(effect: Effect, words: usize) -> Found {
    Found { effect, words, object: None, change: Change::Other, losing: Losing::Nothing }
}

fn unclear(words: usize) -> Found {
    Found { losing: Losing::Unclear, ..simple(Effect::Destroy, words) }
}

/// Destroys at most all rows of the table named at a place.
fn at_most(words: &Words<'_>, at: usize, verb: usize) -> Found {
    match words.name(at) {
        Some((name, _)) => {
            Found { object: Some(name.clone()), losing: Losing::AtMost(name), ..simple(Effect::Destroy, verb) }
        }
        None => unclear(verb),
    }
}

fn drop(words: &Words<'_>) -> Found {
    let (after, _) = words.skip(1, &["TEMPORARY"]);
    match words.word(after).as_str() {
        "DATABASE" => {
            let (at, if_exists) = words.skip(after + 1, &["IF", "EXISTS"]);
            match words.name(at) {
                Some((name, _)) if name.database.is_none() => Found {
                    change: Change::DropDatabase { name: name.name, if_exists },
                    losing: Losing::Objects,
                    ..simple(Effect::Destroy, 2)
                },
                _ => unclear(2),
            }
        }
        "TABLE" | "VIEW" | "DICTIONARY" if after == 1 => {
            let (at, if_exists) = words.skip(after + 1, &["IF", "EXISTS"]);
            // IF EMPTY takes nothing away that holds rows.
            let (at, if_empty) = words.skip(at, &["IF", "EMPTY"]);
            match words.names(at) {
                Some((names, _)) => Found {
                    object: names.first().cloned(),
                    losing: if if_empty { Losing::Nothing } else { Losing::Objects },
                    change: Change::DropTables { names, if_exists },
                    ..simple(Effect::Destroy, 2)
                },
                None => unclear(2),
            }
        }
        // Access entities, functions, indexes and temporary tables hold no rows that outlast the statement.
        "USER" | "ROLE" | "ROW" | "POLICY" | "QUOTA" | "SETTINGS" | "PROFILE" | "FUNCTION" | "NAMED" | "INDEX"
        | "WORKLOAD" | "RESOURCE" | "TABLE" => simple(Effect::Destroy, 2),
        _ => unclear(2),
    }
}

fn truncate(words: &Words<'_>) -> Found {
    let whole = |at: usize, verb: usize| {
        let (at, if_exists) = words.skip(at, &["IF", "EXISTS"]);
        match words.name(at) {
            Some((name, _)) if name.database.is_none() => Found {
                change: Change::TruncateDatabase { name: name.name, if_exists },
                losing: Losing::Objects,
                ..simple(Effect::Destroy, verb)
            },
            _ => unclear(verb),
        }
    };
    if words.are(1, &["DATABASE"]) {
        return whole(2, 2);
    }
    for start in [&["ALL", "TABLES", "FROM"][..], &["TABLES", "FROM"][..]] {
        if words.are(1, start) {
            // A LIKE clause only makes it fewer tables.
            return whole(1 + start.len(), 1 + start.len());
        }
    }
    let (at, table) = words.skip(1, &["TABLE"]);
    let (at, if_exists) = words.skip(at, &["IF", "EXISTS"]);
    match words.name(at) {
        Some((name, _)) => Found {
            object: Some(name.clone()),
            change: Change::Truncate { name, if_exists },
            losing: Losing::Objects,
            ..simple(Effect::Destroy, 1 + usize::from(table))
        },
        None => unclear(1),
    }
}

fn create(words: &Words<'_>) -> Found {
    if words.are(1, &["OR", "REPLACE"]) {
        return replaced(words, 4);
    }
    let (at, materialized) = words.skip(1, &["MATERIALIZED"]);
    let kind = words.word(at);
    let verb = at + 1;
    let (at, if_not_exists) = words.skip(at + 1, &["IF", "NOT", "EXISTS"]);
    match (kind.as_str(), words.name(at)) {
        ("DATABASE", Some((name, _))) if name.database.is_none() => Found {
            change: Change::CreateDatabase {
                name: name.name,
                if_not_exists,
                engine: words.engine().unwrap_or_else(|| "Atomic".to_owned()),
            },
            ..simple(Effect::Write, verb)
        },
        ("TABLE" | "VIEW" | "DICTIONARY", Some((name, _))) => {
            let engine = match kind.as_str() {
                "VIEW" if materialized => "MaterializedView".to_owned(),
                "VIEW" => "View".to_owned(),
                "DICTIONARY" => "Dictionary".to_owned(),
                _ => words.engine().unwrap_or_default(),
            };
            Found {
                object: Some(name.clone()),
                change: Change::CreateTable {
                    name,
                    if_not_exists,
                    filled: words.holds("POPULATE") || (kind == "TABLE" && words.holds("SELECT")),
                    engine,
                },
                ..simple(Effect::Write, verb)
            }
        }
        _ => simple(Effect::Write, 2),
    }
}

/// `CREATE OR REPLACE <kind> name` and `REPLACE TABLE name`: what stood under the name is gone.
fn replaced(words: &Words<'_>, verb: usize) -> Found {
    let (kind, _) = words.skip(verb - 1, &["MATERIALIZED"]);
    match words.word(kind).as_str() {
        "TABLE" | "VIEW" | "DICTIONARY" => at_most(words, kind + 1, kind + 1),
        "FUNCTION" | "USER" | "ROLE" | "QUOTA" | "SETTINGS" | "ROW" | "POLICY" | "PROFILE" | "RESOURCE"
        | "WORKLOAD" => simple(Effect::Destroy, kind + 1),
        _ => unclear(kind + 1),
    }
}

fn insert(words: &Words<'_>, at: usize) -> Found {
    let (at, _) = words.skip(at + 1, &["INTO"]);
    let (at, _) = words.skip(at, &["TABLE"]);
    let write = simple(Effect::Write, 2);
    if words.are(at, &["FUNCTION"]) {
        return write;
    }
    match words.name(at) {
        Some((name, _)) => Found { object: Some(name.clone()), change: Change::Insert { name }, ..write },
        None => write,
    }
}

fn alter(words: &Words<'_>) -> Found {
    if !words.are(1, &["TABLE"]) {
        // ALTER USER, ROLE, DATABASE ... MODIFY and the like change definitions.
        return simple(Effect::Write, 2);
    }
    let (at, _) = words.skip(2, &["IF", "EXISTS"]);
    let Some((name, after)) = words.name(at) else {
        return unclear(2);
    };
    let rest = Words(&words.0[after..]);
    if rest.find(&["DROP", "DETACHED"]).is_some() {
        // Rows of detached parts are not counted in the table's.
        return Found { object: Some(name), ..unclear(2) };
    }
    let destroying: [&[&str]; 11] = [
        &["DELETE", "WHERE"],
        &["DELETE", "IN"],
        &["DROP", "PARTITION"],
        &["DROP", "PART"],
        &["DROP", "COLUMN"],
        &["CLEAR", "COLUMN"],
        &["DETACH", "PARTITION"],
        &["DETACH", "PART"],
        &["REPLACE", "PARTITION"],
        &["MODIFY", "TTL"],
        &["MATERIALIZE", "TTL"],
    ];
    let destroys = destroying.iter().any(|phrase| rest.find(phrase).is_some());
    if destroys {
        return Found { object: Some(name.clone()), losing: Losing::AtMost(name), ..simple(Effect::Destroy, 2) };
    }
    Found { object: Some(name), ..simple(Effect::Write, 2) }
}

fn optimize(words: &Words<'_>) -> Found {
    if words.find(&["DEDUPLICATE"]).is_some() {
        return at_most(words, 2, 2);
    }
    Found { object: words.name(2).map(|(name, _)| name), ..simple(Effect::Write, 2) }
}

fn detach(words: &Words<'_>) -> Found {
    if words.find(&["PERMANENTLY"]).is_none() {
        // It comes back with the next start of the server.
        return simple(Effect::Write, 2);
    }
    if !words.are(1, &["TABLE"]) && !words.are(1, &["VIEW"]) && !words.are(1, &["DICTIONARY"]) {
        return unclear(2);
    }
    let (at, _) = words.skip(2, &["IF", "EXISTS"]);
    at_most(words, at, 2)
}

fn system(words: &Words<'_>) -> Found {
    let caches = words.holds("CACHE") || words.holds("CACHES");
    match words.word(1).as_str() {
        "DROP" if caches => simple(Effect::Write, 3),
        // Metadata in Keeper and frozen parts, no rows of tables.
        "DROP" => simple(Effect::Destroy, 3),
        "UNFREEZE" | "SHUTDOWN" | "KILL" => simple(Effect::Destroy, 2),
        _ => simple(Effect::Write, 3),
    }
}
