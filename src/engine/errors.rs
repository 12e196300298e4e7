//! What an error of a server means here, and what to do: never the server's own unsafe hint.

use super::ports::SqlError;
use crate::diag::Refusal;

/// Cause, evidence and the safe next step for an error of a statement; `what` says what was tried.
#[must_use]
pub fn explain_sql(what: String, error: &SqlError) -> Refusal {
    match error {
        SqlError::NotSent { host, url, reason } => Refusal {
            what,
            expected: format!("{host} answers at {url}"),
            found: reason.clone(),
            evidence: format!("curl {url}/ping"),
            action: "start the server or correct its `url` in the environment; nothing was sent to it".to_owned(),
        },
        SqlError::Lost { host, reason } => Refusal {
            what,
            expected: "a complete answer".to_owned(),
            found: reason.clone(),
            evidence: format!("on {host}: SELECT query_id, elapsed, query FROM system.processes"),
            action: "`clickferry resume` asks the server what happened before anything is repeated".to_owned(),
        },
        SqlError::Server { host, code, name, message } => {
            let (evidence, action) = advised(*code, message);
            Refusal {
                what,
                expected: "the statement succeeds".to_owned(),
                found: format!("{host} answered {code} {name}: {}", shorten(&without_hints(message))),
                evidence: evidence.replace("{host}", host.as_str()),
                action: with_page(&action, *code),
            }
        }
    }
}

/// As [`explain_sql`], where nothing but reads was sent and there is no run to carry on with.
#[must_use]
pub fn explain_look(what: String, error: &SqlError) -> Refusal {
    const RESUME: &str = "`clickferry resume`";
    let mut refusal = explain_sql(what, error);
    if !refusal.action.contains(RESUME) {
        return refusal;
    }
    let again = "give the command again";
    refusal.action = if matches!(error, SqlError::Lost { .. }) {
        format!("only reads were sent: {again}")
    } else {
        // What resume would ask has nothing to do with a read.
        let bare = |line: &str| match line
            .find(&format!("{RESUME}: it asks"))
            .or_else(|| line.find(&format!("{RESUME} asks")))
        {
            Some(at) => format!("{}{again}; only reads were sent", &line[..at]),
            None => line.replace(RESUME, again),
        };
        refusal.action.lines().map(bare).collect::<Vec<_>>().join("\n")
    };
    refusal
}

/// The statement and the step of [`advice`]; what it lacks comes from the page on the code.
fn advised(code: i32, message: &str) -> (String, String) {
    let (mut evidence, mut action) = advice(code, message);
    if let Some(page) = super::error_pages::find(&code.to_string()) {
        if evidence.is_empty() {
            evidence = page.statements().first().map(|sql| format!("on {{host}}: {sql}")).unwrap_or_default();
        }
        if action.is_empty() {
            action = page.steps().join("\n");
        }
    }
    if evidence.is_empty() {
        evidence = "on {host}: SELECT query_id, elapsed, query FROM system.processes".to_owned();
    }
    if action.is_empty() {
        action = "look at the server's log around this time, repair the cause, then `clickferry resume`".to_owned();
    }
    (evidence, action)
}

/// Ends with the page on the code, where there is one.
fn with_page(action: &str, code: i32) -> String {
    match super::error_pages::find(&code.to_string()) {
        Some(_) => format!("{action}\nclickferry explain {code}"),
        None => action.to_owned(),
    }
}

/// The read-only statement and the safe next step for a code, in the context of migrations and restores.
fn advice(code: i32, message: &str) -> (String, String) {
    let (evidence, action) = match code {
        57 => (
            "on {host}: SELECT database, name, uuid FROM system.tables; SELECT * FROM system.dropped_tables",
            "a table of that name or its data folder is still there: look whether it is the one the plan means, then plan again",
        ),
        60 | 81 => (
            "on {host}: SELECT database, name FROM system.tables",
            "the object is not there (any longer): plan again to see the world as it is",
        ),
        62 => ("on {host}: EXPLAIN AST <the statement>", "correct the statement in the runbook"),
        36 => (
            "on {host}: SELECT id, status, error FROM system.backups",
            "if the id is in use, the first attempt is still running: `clickferry resume` asks it; else correct the value in the runbook",
        ),
        82 => (
            "on {host}: SELECT name, engine, uuid FROM system.databases",
            "the database exists already: plan again to see the world as it is",
        ),
        115 | 653 => (
            "on {host}: SELECT name FROM system.settings",
            "this server does not know a setting of the runbook: remove it or correct its name",
        ),
        164 | 497 => ("on {host}: SHOW GRANTS", "give the user of the environment the right it lacks"),
        159 => (
            "on {host}: SELECT * FROM system.processes",
            "the server may still be working: `clickferry resume` asks before anything is repeated",
        ),
        202 | 745 => (
            "on {host}: SELECT count() FROM system.processes",
            "the server is overloaded: wait, then `clickferry resume`",
        ),
        216 => (
            "on {host}: SELECT query_id, elapsed, query FROM system.processes",
            "the first attempt is still running: `clickferry resume` asks until it has ended; it is not sent under another id",
        ),
        218 | 219 => (
            "on {host}: SELECT database, table, uuid FROM system.dropped_tables",
            "something is still being dropped: wait until nothing is listed there, then `clickferry resume`",
        ),
        224 => (
            "on {host}: SELECT macro, substitution FROM system.macros",
            "two servers have one `{replica}` macro, or an old session has not expired: wait 30 seconds, then `clickferry resume`; if it stays, give each server a macro of its own",
        ),
        225 => (
            "on {host}: SELECT * FROM system.zookeeper WHERE path = '/'",
            "the server has no Keeper configured: add it to its configuration",
        ),
        242 => (
            "on {host}: SELECT database, table, is_readonly, zookeeper_exception FROM system.replicas",
            "the table is read-only, usually because Keeper cannot be reached: repair that, then `clickferry resume`",
        ),
        243 => (
            "on {host}: SELECT name, formatReadableSize(free_space) FROM system.disks",
            "free space on the disk, then `clickferry resume`",
        ),
        253 => (
            "on {host}: SELECT name FROM system.zookeeper WHERE path = '<table path>/replicas'",
            "metadata of an earlier table is left in Keeper: put a `clear_keeper` step for that path before the creation, and plan again",
        ),
        289 | 319 => (
            "on {host}: SELECT database, table, queue_size, absolute_delay, zookeeper_exception FROM system.replicas",
            "it is not known whether the rows came in: `clickferry resume` counts before anything is repeated",
        ),
        305 => (
            "on {host}: SELECT database, table, replica_name, replica_is_active FROM system.replicas",
            "a live replica still uses that path: drop its table first, or leave the path out",
        ),
        359 => (
            "on {host}: SELECT value FROM system.server_settings WHERE name = 'max_table_size_to_drop'",
            "the table is larger than the server lets anybody drop: raise `max_table_size_to_drop` for this server, then `clickferry resume`",
        ),
        478 | 479 => (
            "on {host}: SELECT policy_name, volume_name, disks FROM system.storage_policies",
            "a definition names a storage policy or disk this server lacks: configure it on every host, or set `storage_policy` under `settings:` of the restore, then plan again",
        ),
        499 if is_denied(message) => {
            ("", "the store refused the keys: correct `credentials` of the storage in the environment")
        }
        499 => ("", "the store failed: look at its state, then `clickferry resume`"),
        516 => ("", "the server refused user or password: correct `credentials` in the environment"),
        598 => (
            "",
            "a backup is at that path already: choose another path; never delete a `.lock` that a running backup owns",
        ),
        599 => ("", "there is no complete backup at that path: compare the path with `clickferry inspect`"),
        587 => (
            "on {host}: SELECT id, status, start_time FROM system.backups",
            "the server allows one backup or restore at a time: wait until the other has ended, then `clickferry resume`",
        ),
        601 | 605 => (
            "on {host}: SELECT id, status, error FROM system.backups",
            "objects of the backup are missing or damaged: take an older backup, or make a new one",
        ),
        655 => (
            "on {host}: SELECT id, status, error FROM system.backups",
            "hosts lost each other while they worked together: repair Keeper, then `clickferry resume`",
        ),
        663 => (
            "on {host}: SELECT query_id, elapsed, query FROM system.processes",
            "somebody changed tables while the backup ran: stop the migrator, then `clickferry resume`",
        ),
        607 | 608 => (
            "on {host}: SELECT database, name, total_rows, create_table_query FROM system.tables",
            "the target is not what the restore expects (rows in it, or another definition): plan again; rows are never added to a table that has some",
        ),
        999 => (
            "on {host}: SELECT * FROM system.zookeeper WHERE path = '/'",
            "Keeper failed: look at its state, then `clickferry resume`",
        ),
        _ => ("", ""),
    };
    (evidence.to_owned(), action.to_owned())
}

fn is_denied(message: &str) -> bool {
    ["403", "ACCESS_DENIED", "AccessDenied", "Access Denied", "InvalidAccessKeyId"]
        .iter()
        .any(|word| message.contains(word))
}

/// The server advises settings that double rows or drop guards; such sentences are not passed on.
fn without_hints(message: &str) -> String {
    let markers = [
        ". You can set",
        "You can set structure_only",
        ". If you want",
        ". To force",
        "How to fix this",
        ". Use SETTINGS",
    ];
    let cut = markers.iter().filter_map(|marker| message.find(marker)).min();
    let message = cut.map_or(message, |at| &message[..at]);
    // That a flag file would lift the limit is a hint, too, among the reasons of 359.
    let is_hint = |line: &&str| !line.contains("force_drop_table");
    message.lines().filter(is_hint).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn shorten(message: &str) -> String {
    const LIMIT: usize = 600;
    let first = message.trim();
    if first.chars().count() <= LIMIT {
        return first.to_owned();
    }
    let head: String = first.chars().take(LIMIT).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::HostName;

    /// As servers of 2020 to 2025 were seen to word it in public reports.
    #[test]
    fn the_way_around_the_limit_of_a_drop_is_not_passed_on() {
        let message = "Table or Partition in default.ddrop was not dropped.\nReason:\n\
             1. Size (54.15 GB) is greater than max_[table/partition]_size_to_drop (50.00 GB)\n\
             2. File '/var/lib/clickhouse/flags/force_drop_table' intended to force DROP doesn't exist\n\
             How to fix this:\n\
             1. Either increase (or set to zero) max_[table/partition]_size_to_drop in server config\n\
             2. Either pass a bigger (or set to zero) max_[table/partition]_size_to_drop through query settings\n\
             3. Either create forcing file /var/lib/clickhouse/flags/force_drop_table and make sure that ClickHouse has \
             write permission for it.\nExample:\nsudo touch '/var/lib/clickhouse/flags/force_drop_table' && sudo chmod 666 \
             '/var/lib/clickhouse/flags/force_drop_table'";
        let error = SqlError::Server {
            host: HostName::from("r1"),
            code: 359,
            name: "TABLE_SIZE_EXCEEDS_MAX_DROP_SIZE_LIMIT".to_owned(),
            message: message.to_owned(),
        };
        let refusal = explain_sql("drop".to_owned(), &error);
        for hint in ["force_drop_table", "sudo", "chmod", "set to zero", "How to fix"] {
            assert!(!refusal.to_string().contains(hint), "{hint}: {refusal}");
        }
        assert!(
            refusal.found.ends_with("Size (54.15 GB) is greater than max_[table/partition]_size_to_drop (50.00 GB)")
        );
        assert!(refusal.action.contains("max_table_size_to_drop"), "{refusal}");
    }

    #[test]
    fn the_servers_unsafe_hint_is_not_passed_on() {
        let error = SqlError::Server {
            host: HostName::from("r1"),
            code: 608,
            name: "CANNOT_RESTORE_TABLE".to_owned(),
            message: "Cannot restore the table d.t because it already contains some data. You can set structure_only=true or allow_non_empty_tables=true to overcome that".to_owned(),
        };
        let refusal = explain_sql("restore".to_owned(), &error);
        assert!(!refusal.to_string().contains("allow_non_empty_tables"), "{refusal}");
        assert!(refusal.found.contains("already contains some data"));
    }
}
