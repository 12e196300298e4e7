//! What differs beside the objects of databases.

use std::collections::BTreeMap;

use super::super::text::{count, number};
use super::{DiffView, hanging, line};
use crate::plan::world_diff::{BackupMade, HostDiff, KeeperDiff, KeeperObject, LostWith};

/// Of what is lost: words for one and for many, what becomes of it, and the number that one table loses of it.
type Kind = ([&'static str; 3], fn(&LostWith) -> u64);

const LOST: [Kind; 3] = [
    (["detached part", "detached parts", "would be lost"], |lost| lost.detached_parts),
    (["file of rows not sent yet", "files of rows not sent yet", "may be lost"], |lost| lost.waiting_files),
    (["row not written yet", "rows not written yet", "may be lost"], |lost| lost.waiting_rows),
];

impl DiffView {
    /// What goes with tables and stands in no count of rows.
    pub(super) fn lost(&self, hosts: &[&HostDiff], out: &mut String) {
        for ([one, many, becomes], of) in LOST {
            for host in hosts {
                let tables: Vec<(&str, u64)> = host
                    .lost
                    .iter()
                    .map(|lost| (lost.table.as_str(), of(lost)))
                    .filter(|(_, lost)| *lost > 0)
                    .collect();
                if tables.is_empty() {
                    continue;
                }
                let names: Vec<String> =
                    tables.iter().map(|(table, lost)| format!("{table} ({})", number(*lost))).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let sum = many_or_one(tables.iter().map(|(_, lost)| lost).sum(), one, many);
                self.minus(&format!("{sum} {becomes} on {}: ", host.host), &names, out);
            }
        }
    }

    /// What vanishes from the Keeper of a target.
    pub(super) fn keeper(&self, found: &[&KeeperDiff], out: &mut String) {
        let mut kinds: BTreeMap<KeeperObject, Vec<&str>> = BTreeMap::new();
        for one in found {
            kinds.entry(one.object).or_default().push(&one.path);
        }
        for (kind, paths) in kinds {
            let (one, many) = match kind {
                KeeperObject::Table => ("table that no server has", "tables that no server has"),
                KeeperObject::Replica => ("replica that no server has", "replicas that no server has"),
                KeeperObject::Node => ("other node with what is below", "other nodes with what is below"),
            };
            let sum = many_or_one(paths.len() as u64, one, many);
            self.minus(&format!("{sum} would be removed from Keeper: "), &paths, out);
        }
    }

    /// Backups that would be made.
    pub(super) fn backups(&self, made: &[BackupMade], out: &mut String) {
        let mut storages: BTreeMap<&str, Vec<&BackupMade>> = BTreeMap::new();
        for one in made {
            storages.entry(&one.storage).or_default().push(one);
        }
        for (storage, made) in storages {
            line(out, &self.style.heading(&format!("storage {storage}")));
            for one in made {
                let tables = count(one.tables, "table");
                let text = format!("a run makes a backup of {tables} on {}, {}: {}", one.host, one.of, one.path);
                out.push_str(&hanging(&text, self.width, "  ", "    "));
            }
            out.push('\n');
        }
    }

    fn minus(&self, text: &str, names: &[&str], out: &mut String) {
        let text = format!("- {text}{}", self.short(names, 4));
        out.push_str(&hanging(&text, self.width, "  ", "    ").replacen('-', &self.style.bad("-"), 1));
    }
}

fn many_or_one(number_of: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(number_of), if number_of == 1 { one } else { many })
}
