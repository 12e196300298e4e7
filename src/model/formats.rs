//! Text with a meaning: identifiers, tables, durations, roles. Each is a type with a `format` in the schema,
//! and the schema walker checks the format at the place where the text stands.

use std::borrow::Cow;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

macro_rules! format_type {
    ($(#[$doc:meta])* $name:ident, $format:literal, $description:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format, "x-kind": $description })
            }
        }

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

format_type! {
    /// A target role declared under `targets:`.
    TargetRole, "target-role", "target role"
}
format_type! {
    /// A storage role declared under `storage:`.
    StorageRole, "storage-role", "storage role"
}
format_type! {
    /// Id of an earlier `backup` step.
    BackupStep, "backup-step", "id of a backup step"
}
format_type! {
    /// Name of a database.
    DatabaseName, "identifier", "database name"
}
format_type! {
    /// A table as `database.table`.
    TableName, "table", "database.table"
}
format_type! {
    /// One or more SQL statements; templates in it are quoted as identifiers or literals.
    SqlText, "sql", "SQL"
}
format_type! {
    /// An absolute Keeper path; `{shard}` and other macros of the server are allowed.
    KeeperPath, "keeper-path", "Keeper path"
}
format_type! {
    /// A duration such as `90s`, `5m` or `1h 30m`.
    DurationText, "duration", "duration"
}

format_type! {
    /// A time of the day such as `01:00`.
    TimeOfDay, "time-of-day", "time of the day"
}
format_type! {
    /// An IANA time zone such as `Europe/Berlin`.
    TimeZoneName, "time-zone", "time zone"
}
format_type! {
    /// A rate such as `50 MiB/s`.
    RateText, "rate", "rate"
}

impl DurationText {
    /// The duration; the schema walker has checked the text before.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        parse_duration(&self.0).ok()
    }
}

/// Parses `90s`, `5m`, `1h 30m`.
///
/// # Errors
/// What is wrong with the text, as a fragment of a sentence.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let signed: SignedDuration =
        text.parse().map_err(|_| "expected a duration such as `90s`, `5m` or `1h 30m`".to_owned())?;
    Duration::try_from(signed).map_err(|_| "a duration cannot be negative".to_owned())
}

/// Parses `01:00` to hours and minutes.
///
/// # Errors
/// What is wrong with the text, as a fragment of a sentence.
pub fn parse_time_of_day(text: &str) -> Result<(i8, i8), String> {
    let parsed = text.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2);
    let number = |part: &str, below: i8| {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse().ok().filter(|number| is_number && (0..below).contains(number))
    };
    parsed
        .and_then(|(hours, minutes)| Some((number(hours, 24)?, number(minutes, 60)?)))
        .ok_or_else(|| "expected a time of the day such as `01:00`, in quotes".to_owned())
}

/// Checks the name of a time zone.
///
/// # Errors
/// What is wrong with the text, as a fragment of a sentence.
pub fn check_time_zone(text: &str) -> Result<(), String> {
    jiff::tz::TimeZone::get(text)
        .map(|_| ())
        .map_err(|_| format!("there is no time zone `{text}`; write an IANA name such as `Europe/Berlin`"))
}

/// Parses `50 MiB/s` to bytes per second.
///
/// # Errors
/// What is wrong with the text, as a fragment of a sentence.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 6] = [
        ("KiB/s", 1 << 10),
        ("MiB/s", 1 << 20),
        ("GiB/s", 1 << 30),
        ("kB/s", 1_000),
        ("MB/s", 1_000_000),
        ("GB/s", 1_000_000_000),
    ];
    UNITS
        .iter()
        .find_map(|(unit, size)| text.trim().strip_suffix(unit)?.trim().parse::<u64>().ok()?.checked_mul(*size))
        .filter(|rate| *rate > 0)
        .ok_or_else(|| "expected a rate such as `50 MiB/s` (KiB, MiB, GiB, kB, MB or GB per second)".to_owned())
}

/// Splits `database.table`; a part with dots or blanks stands in backquotes.
///
/// # Errors
/// What is wrong with the text, as a fragment of a sentence.
pub fn parse_table(text: &str) -> Result<(String, String), String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('`') {
            let end = quoted.find('`').ok_or("a backquote is not closed")?;
            (&quoted[..end], &quoted[end + 1..])
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            (&rest[..end], &rest[end..])
        };
        if part.is_empty() {
            return Err("expected `database.table`".to_owned());
        }
        parts.push(part.to_owned());
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => break,
            None => return Err("expected `.` after a closing backquote".to_owned()),
        }
    }
    match <[String; 2]>::try_from(parts) {
        Ok([database, table]) => Ok((database, table)),
        Err(_) => Err("expected `database.table`".to_owned()),
    }
}

/// Checks an identifier that becomes a database name.
///
/// # Errors
/// What is wrong with the text, as a fragment of a sentence.
pub fn check_identifier(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("a name cannot be empty".to_owned());
    }
    if text.len() > 200 {
        return Err("a name has at most 200 bytes".to_owned());
    }
    if let Some(bad) =
        text.chars().find(|c| c.is_control() || matches!(c, '`' | '\'' | '"' | '\\' | '/' | '{' | '}' | '$'))
    {
        return Err(format!("the character {bad:?} is not allowed in a name"));
    }
    Ok(())
}

/// Checks a Keeper path that will be cleared: absolute, deep enough, outside the servers' own folders.
///
/// # Errors
/// What is wrong with the path, as a fragment of a sentence.
pub fn check_keeper_path(text: &str) -> Result<(), String> {
    let Some(rest) = text.strip_prefix('/') else {
        return Err("a Keeper path starts with `/`, e.g. `/clickhouse/tables/{shard}/db`".to_owned());
    };
    let parts: Vec<&str> = rest.split('/').collect();
    if rest.is_empty() {
        return Err("the root of Keeper is never cleared; write e.g. `/clickhouse/tables/{shard}`".to_owned());
    }
    if parts.iter().any(|part| part.is_empty() || *part == "." || *part == "..") {
        return Err("a Keeper path has no empty part, no `.` and no `..`".to_owned());
    }
    if parts[0] == "keeper" || parts[0] == "zookeeper" {
        return Err("this path belongs to Keeper itself".to_owned());
    }
    if rest.starts_with("clickhouse/task_queue") || rest.starts_with("clickhouse/backups") {
        return Err("this path belongs to ClickHouse's own coordination, not to tables".to_owned());
    }
    if parts.len() < 3 {
        return Err("a path that may be cleared has at least three parts, e.g. `/clickhouse/tables/{shard}`".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_split_at_the_dot_outside_backquotes() {
        assert_eq!(parse_table("a.b"), Ok(("a".into(), "b".into())));
        assert_eq!(parse_table("`a.b`.`c d`"), Ok(("a.b".into(), "c d".into())));
        for bad in ["a", "a.", ".b", "a.b.c", "`a", "`a`b.c", ""] {
            assert!(parse_table(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shallow_and_foreign_keeper_paths_are_refused() {
        assert!(check_keeper_path("/clickhouse/tables/{shard}/db").is_ok());
        for bad in
            ["x", "/", "/a", "/a/b", "/a//b", "/a/../b/c", "/keeper/x/y", "/clickhouse/task_queue/ddl/x", "/a/b/c/"]
        {
            assert!(check_keeper_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_zones_and_rates() {
        assert_eq!(parse_time_of_day("01:30"), Ok((1, 30)));
        for bad in ["1:00", "24:00", "12:60", "0100", "", "+1:00", "01:00:00"] {
            assert!(parse_time_of_day(bad).is_err(), "{bad}");
        }
        assert!(check_time_zone("Europe/Berlin").is_ok());
        assert!(check_time_zone("Europe/Bärlin").is_err());
        assert_eq!(parse_rate("50 MiB/s"), Ok(52_428_800));
        assert_eq!(parse_rate("1GB/s"), Ok(1_000_000_000));
        for bad in ["50", "0 MiB/s", "fast", "-1 MiB/s", "5 MiB"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_friendly() {
        assert_eq!(parse_duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert!(parse_duration("5").is_err());
        assert!(parse_duration("-5s").is_err());
    }
}
