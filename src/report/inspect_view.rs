//! The servers as they are now, for people.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write;

use super::text::{Style, bytes, count, number, pad, wrap};
use crate::engine::bucket::{Content, FoundBackups};
use crate::engine::keeper_seen::SeenKeeper;
use crate::model::observed::{HostWorld, World};

/// Draws every server of a world in a page of a width.
#[must_use]
pub fn render_world(world: &World, width: usize, style: Style) -> String {
    let mut out = String::new();
    for (role, target) in &world.targets {
        let cluster = target.cluster.as_ref().map(|name| format!(", cluster {name}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "{}",
            style.heading(&format!("{role}: {}{cluster}", count(target.hosts.len() as u64, "server")))
        );
        for host in &target.hosts {
            host_lines(host, width, style, &mut out);
        }
        out.push('\n');
    }
    out
}

fn host_lines(host: &HostWorld, width: usize, style: Style, out: &mut String) {
    let macros: Vec<String> = host.identity.macros.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let _ = writeln!(out, "  {}  {}  ClickHouse {}", style.heading(&host.name.0), host.url, host.version);
    let others: String = host
        .storage
        .disks
        .iter()
        .filter(|(name, _)| *name != "default")
        // An object store tells the largest number there is.
        .map(|(name, free)| match *free {
            1_152_921_504_606_846_976.. => format!(", no limit on the disk {name}"),
            free => format!(", {} on the disk {name}", bytes(free)),
        })
        .collect();
    let about = format!(
        "{} free in {}{others}{}",
        bytes(host.free_bytes),
        host.identity.data_path,
        if macros.is_empty() { String::new() } else { format!(", macros {}", macros.join(" ")) }
    );
    out.push_str(&wrap(&about, width, "    "));
    let settings: Vec<String> = host.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !settings.is_empty() {
        out.push_str(&wrap(&format!("settings {}", settings.join(" ")), width, "    "));
    }
    for (name, database) in &host.databases {
        let tables: Vec<_> = host.tables_of(name).filter(|table| !table.is_inner()).collect();
        let rows: u64 = host.tables_of(name).filter(|table| table.holds_rows()).filter_map(|table| table.rows).sum();
        let size: u64 = host.tables_of(name).filter(|table| table.holds_rows()).filter_map(|table| table.bytes).sum();
        let _ = writeln!(
            out,
            "    database {name} ({}): {}, {}, {}",
            database.engine,
            count(tables.len() as u64, "table"),
            count(rows, "row"),
            bytes(size)
        );
        let longest = tables.iter().map(|table| table.name.chars().count()).max().unwrap_or(0);
        for table in tables {
            let rows = table.rows.map_or_else(|| "-".to_owned(), number);
            let readonly = if table.is_readonly { style.bad("  read-only") } else { String::new() };
            let mut line = format!("      {}  {:<28} {rows:>14}", pad(&table.name, longest), table.engine);
            if table.partitions > 0 {
                let _ = write!(line, "  {}", count(table.partitions, "partition"));
            }
            let troubles = table.replication.map(|state| state.troubles(table.total_replicas)).unwrap_or_default();
            let path = table.zookeeper_path.as_deref().unwrap_or_default();
            if path.is_empty() || line.chars().count() + 2 + path.chars().count() <= width {
                let path = if path.is_empty() { String::new() } else { style.dim(&format!("  {path}")) };
                let _ = writeln!(out, "{line}{path}{readonly}");
                trouble(&troubles, width, style, out);
                continue;
            }
            let _ = writeln!(out, "{line}{readonly}");
            for line in wrap(path, width, "        ").lines() {
                let _ = writeln!(out, "{}", style.dim(line));
            }
            trouble(&troubles, width, style, out);
        }
    }
    for (label, list) in [
        ("dropped, data still there", &host.pending_drops),
        ("running backup or restore", &host.running_backups),
        ("mutation not done", &host.mutations),
    ] {
        for entry in list {
            let _ = writeln!(out, "    {}", style.notice(&format!("{label}: {entry}")));
        }
    }
    for (table, parts) in &host.detached_parts {
        let _ = writeln!(out, "    {}", style.notice(&format!("{} in {table}", count(*parts, "detached part"))));
    }
    for (waiting, noun, what) in [
        (&host.waiting_files, "file", "of rows that it has not sent to other servers yet"),
        (&host.waiting_rows, "row", "that it has not written to its table yet"),
    ] {
        for (table, number) in waiting {
            let _ = writeln!(out, "    {}", style.notice(&format!("{table} has {} {what}", count(*number, noun))));
        }
    }
}

/// What is not as it should be with the replication of a table.
fn trouble(troubles: &[String], width: usize, style: Style, out: &mut String) {
    if troubles.is_empty() {
        return;
    }
    for line in wrap(&format!("replication: {}", troubles.join(", ")), width, "        ").lines() {
        let _ = writeln!(out, "{}", style.notice(line));
    }
}

/// Draws what lies in Keeper above the tables of each target.
#[must_use]
pub fn render_keepers(keepers: &BTreeMap<String, SeenKeeper>, width: usize, style: Style) -> String {
    let mut out = String::new();
    for (role, seen) in keepers.iter().filter(|(_, seen)| **seen != SeenKeeper::default()) {
        let _ = writeln!(out, "{}", style.heading(&format!("{role}: Keeper")));
        for found in &seen.paths {
            let unused = match found.unused.as_slice() {
                [] => String::new(),
                names => format!("; {} of no table here: {}", number(names.len() as u64), a_dozen(names)),
            };
            let words = format!("{}: {} of tables here{unused}", found.path, number(found.used as u64));
            let painted: fn(Style, &str) -> String = if found.unused.is_empty() { Style::plain } else { Style::notice };
            for (at, line) in wrap(&words, width, "    ").lines().enumerate() {
                let line = line.strip_prefix("    ").unwrap_or(line);
                let _ = writeln!(out, "{}{}", if at == 0 { "  " } else { "    " }, painted(style, line));
            }
        }
        if seen.left > 0 {
            let _ = writeln!(out, "  and {} that were not listed", count(seen.left as u64, "path"));
        }
        if let Some(why) = &seen.silent {
            out.push_str(&wrap(&format!("it cannot be listed: {why}"), width, "  "));
        }
        out.push('\n');
    }
    out
}

fn a_dozen(names: &[String]) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    super::outline::a_dozen(&names)
}

/// A bucket and the backups in it.
pub struct Bucket {
    /// Storage role.
    pub role: String,
    /// Where it is.
    pub place: String,
    /// Its backups.
    pub found: FoundBackups,
}

/// Draws buckets with their backups.
#[must_use]
pub fn render_buckets(buckets: &[Bucket], width: usize, style: Style) -> String {
    let mut out = String::new();
    for bucket in buckets {
        let _ = writeln!(out, "{}", style.heading(&format!("{}: {}", bucket.role, bucket.place)));
        let found = &bucket.found;
        if found.backups.is_empty() {
            let _ = writeln!(out, "  no backup");
        }
        for backup in &found.backups {
            let word = if backup.complete {
                "complete".to_owned()
            } else {
                style.notice("being written, or left by a killed server")
            };
            let _ = writeln!(out, "  {}  {word}", backup.path);
            if let Some(content) = &backup.content {
                out.push_str(&wrap(&content_words(content), width, "    "));
            } else if let Some(why) = &backup.unreadable {
                out.push_str(&wrap(&format!("cannot be read: {why}"), width, "    "));
            }
        }
        let unread = found
            .backups
            .iter()
            .filter(|backup| backup.complete && backup.content.is_none() && backup.unreadable.is_none());
        let unread = unread.count() as u64;
        if unread > 0 {
            let _ = writeln!(out, "  the content of {} was not read", count(unread, "older backup"));
        }
        if found.folders_left > 0 {
            let words = format!(
                "{} not looked into: there may be more backups. Give the storage a longer `prefix` in the environment",
                count(found.folders_left as u64, "folder")
            );
            for line in wrap(&words, width, "  ").lines() {
                let _ = writeln!(out, "{}", style.notice(line));
            }
        }
    }
    out
}

fn content_words(content: &Content) -> String {
    format!(
        "{}, of {}: {}, {}, {}{}",
        content.timestamp,
        content.databases.join(", "),
        count(content.tables, "table"),
        count(content.rows, "row"),
        bytes(content.bytes),
        if content.incremental { ", rests on another backup" } else { "" }
    )
}
