//! How the servers differ from what a plan leaves, for people: objects that change alike are told once.

mod beyond;
mod groups;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use self::groups::{Group, groups, rows_words};
use super::text::{Style, count, number, wrap};
use crate::plan::world_diff::{BackupMade, Change, HostDiff, KeeperDiff, ObjectDiff, ObjectKind, Sides};

/// Most lines of names of one group where not everything is shown.
const NAME_LINES: usize = 3;
/// Most lines of a definition of an example.
const DEFINITION_LINES: usize = 24;

/// A blank at which no line is broken.
const NO_BREAK: &str = "\u{a0}";

/// What `diff` prints as JSON.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DiffReport {
    /// Version of this format.
    pub version: u32,
    /// Name of the runbook.
    pub runbook: String,
    /// Name of the environment.
    pub environment: String,
    /// Whether anything differs.
    pub differs: bool,
    /// Every host, in the order of the environment.
    pub hosts: Vec<HostDiff>,
    /// What would not be in Keeper any longer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub keeper: Vec<KeeperDiff>,
    /// Backups that would be made. A run makes one whatever is there, so they are no difference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub backups: Vec<BackupMade>,
    /// What cannot be told before the runbook has run.
    pub untold: Vec<String>,
}

/// Version of [`DiffReport`].
pub const DIFF_VERSION: u32 = 1;

/// Schema of [`DiffReport`].
#[must_use]
pub fn diff_schema() -> serde_json::Value {
    schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<DiffReport>().to_value()
}

/// How it is drawn.
#[derive(Clone, Copy, Debug)]
pub struct DiffView {
    /// Columns of the terminal.
    pub width: usize,
    /// Colours.
    pub style: Style,
    /// Every object on its own.
    pub full: bool,
}

impl DiffView {
    /// The whole difference as text.
    #[must_use]
    pub fn render(&self, report: &DiffReport) -> String {
        let style = self.style;
        let mut out = String::new();
        let title = format!("{} on {}: what is there, and what it would leave", report.runbook, report.environment);
        line(&mut out, &style.heading(&title));
        out.push('\n');
        let targets: BTreeSet<&str> = report.hosts.iter().map(|host| host.target.as_str()).collect();
        for target in targets {
            let hosts: Vec<&HostDiff> = report.hosts.iter().filter(|host| host.target == target).collect();
            self.target(target, &hosts, report, &mut out);
        }
        self.backups(&report.backups, &mut out);
        self.untold(report, &mut out);
        self.end(report, &mut out);
        out
    }

    fn target(&self, target: &str, hosts: &[&HostDiff], report: &DiffReport, out: &mut String) {
        let names: Vec<&str> = hosts.iter().map(|host| host.host.as_str()).collect();
        line(out, &self.style.heading(&format!("{target}: {}", names.join(", "))));
        let keeper: Vec<&KeeperDiff> = report.keeper.iter().filter(|found| found.target == target).collect();
        if keeper.is_empty() && hosts.iter().all(|host| host.differences() == 0) {
            line(out, &self.style.good("  as the runbook leaves it"));
        }
        for group in groups(hosts) {
            self.group(&group, hosts, out);
        }
        self.lost(hosts, out);
        self.keeper(&keeper, out);
        let anew: BTreeSet<&str> = hosts.iter().flat_map(|host| &host.made_anew).map(String::as_str).collect();
        if !anew.is_empty() {
            let text = format!(
                "= {} would be dropped and made anew, alike: {}",
                count(anew.len() as u64, "object"),
                self.short(&anew.into_iter().collect::<Vec<_>>(), 4)
            );
            out.push_str(&hanging(&text, self.width, "  ", "    ").replacen('=', &self.style.notice("="), 1));
        }
        out.push('\n');
    }

    fn group(&self, group: &Group<'_>, hosts: &[&HostDiff], out: &mut String) {
        let Some(first) = group.objects.first().and_then(|object| object.first()) else { return };
        let style = self.style;
        let (sign, deed) = match first.change {
            Change::Created => (style.good("+"), "created"),
            Change::Dropped => (style.bad("-"), "dropped"),
            Change::Changed => (style.notice("~"), "changed"),
        };
        let place = if group.hosts.len() == hosts.len() && hosts.len() > 2 {
            format!("all {} hosts", hosts.len())
        } else {
            group.hosts.join(", ")
        };
        let within = if first.name.is_some() { format!(" in {}", first.database) } else { String::new() };
        let what = count(group.objects.len() as u64, kind_word(first.object));
        let mut text = format!("{what} would be {deed}{within} on {place}{}", rows_words(group, first.change));
        let is_changed = first.change == Change::Changed;
        let names: Vec<String> =
            group.objects.iter().filter_map(|object| object.first()).map(|o| self.item(o)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if !self.full {
            text.push_str(&format!(": {}", self.short(&names, 4)));
        }
        let wrapped = hanging(&text, self.width.saturating_sub(2), "", "    ");
        out.push_str(&format!("  {sign} {wrapped}"));
        if self.full {
            for object in &group.objects {
                self.object(object, &group.hosts, out);
            }
        } else if is_changed {
            self.example(group, out);
        }
    }

    /// What a list of names says of one object.
    fn item(&self, object: &ObjectDiff) -> String {
        let name = object.name.as_deref().unwrap_or(&object.database);
        match (&object.rows, object.change) {
            (Some(rows), Change::Changed) if object.engine.is_none() && object.definition.is_empty() => {
                format!("{name} ({} rows)", sides(rows, |value| number(*value)).replace(' ', NO_BREAK))
            }
            _ => name.to_owned(),
        }
    }

    /// One object of a group that changes, so that the change can be seen without `--full`.
    fn example(&self, group: &Group<'_>, out: &mut String) {
        let Some(object) = group.objects.first() else { return };
        let only_rows = object.iter().all(|o| o.engine.is_none() && o.keeper_path.is_none() && o.definition.is_empty());
        if only_rows {
            return;
        }
        self.object(object, &group.hosts, out);
        if group.objects.len() > 1 {
            let rest = format!("      and {} alike; `--full` shows them", number(group.objects.len() as u64 - 1));
            line(out, &self.style.dim(&rest));
        }
    }

    /// An object with everything that differs, once where it is the same on all hosts.
    fn object(&self, object: &[&ObjectDiff], hosts: &[&str], out: &mut String) {
        let Some(first) = object.first() else { return };
        if object.iter().all(|other| other == first) {
            line(out, &format!("      {}{}", self.style.heading(&first.full_name()), facts(first)));
            self.details(first, out);
            return;
        }
        for (one, host) in object.iter().zip(hosts) {
            line(out, &format!("      {} on {host}{}", self.style.heading(&one.full_name()), facts(one)));
            self.details(one, out);
        }
    }

    fn details(&self, object: &ObjectDiff, out: &mut String) {
        if object.change != Change::Changed {
            return;
        }
        let style = self.style;
        let mut fact = |label: &str, text: String| {
            out.push_str(&hanging(&format!("{label:<8} {text}"), self.width, "        ", "                 "));
        };
        if let Some(engine) = &object.engine {
            fact("engine", sides(engine, Clone::clone));
        }
        if let Some(rows) = &object.rows {
            fact("rows", sides(rows, |value| number(*value)));
        }
        if let Some(path) = &object.keeper_path {
            fact("Keeper", sides(path, Clone::clone));
        }
        let mut lines = Vec::new();
        for change in &object.definition {
            lines.extend(change.before.lines().map(|text| style.bad(&format!("        - {text}"))));
            lines.extend(change.after.lines().map(|text| style.good(&format!("        + {text}"))));
        }
        let most = if self.full { usize::MAX } else { DEFINITION_LINES };
        for text in lines.iter().take(most) {
            line(out, text);
        }
        if lines.len() > most {
            line(out, &style.dim(&format!("        {} more lines; `--full` shows them", lines.len() - most)));
        }
    }

    /// Names, as many as fit into a few lines.
    fn short(&self, names: &[&str], indent: usize) -> String {
        let room = self.width.saturating_sub(indent) * NAME_LINES;
        let mut text = String::new();
        for (at, name) in names.iter().enumerate() {
            if !self.full && at > 0 && text.chars().count() + name.chars().count() + 2 > room {
                return format!("{text} and {} more", number((names.len() - at) as u64));
            }
            if at > 0 {
                text.push_str(", ");
            }
            text.push_str(name);
        }
        text
    }

    fn untold(&self, report: &DiffReport, out: &mut String) {
        let rows: BTreeSet<&str> = report.hosts.iter().flat_map(|host| &host.rows_untold).map(String::as_str).collect();
        if report.untold.is_empty() && rows.is_empty() {
            return;
        }
        line(out, &self.style.heading("Cannot be told before"));
        for note in &report.untold {
            out.push_str(&hanging(&format!("- {note}"), self.width, "  ", "    "));
        }
        if !rows.is_empty() {
            let names: Vec<&str> = rows.into_iter().collect();
            let text = format!(
                "- the exact number of rows, so that only none or some was compared (merges, TTL and the runbook itself change it, \
                 and Log tables do not tell it): {}",
                self.short(&names, 4)
            );
            out.push_str(&hanging(&text, self.width, "  ", "    "));
        }
        out.push('\n');
    }

    fn end(&self, report: &DiffReport, out: &mut String) {
        let of_hosts: u64 = report.hosts.iter().map(HostDiff::differences).sum();
        let hosts = report.hosts.iter().filter(|host| host.differences() > 0).count();
        let differing = of_hosts + report.keeper.len() as u64;
        let same: u64 = report.hosts.iter().map(|host| host.same).sum();
        let on_hosts = format!("on {} of {}", number(hosts as u64), count(report.hosts.len() as u64, "host"));
        let place = match (hosts, report.keeper.is_empty()) {
            (0, _) => "in Keeper".to_owned(),
            (_, true) => on_hosts,
            (_, false) => format!("{on_hosts} and in Keeper"),
        };
        if differing == 0 {
            let text = format!("Nothing differs: {} as the runbook leaves them.", count(same, "object"));
            line(out, &self.style.good(&text));
            return;
        }
        line(
            out,
            &format!(
                "{} {}, {} as the runbook leaves them.",
                count(differing, "difference"),
                place,
                count(same, "object")
            ),
        );
    }
}

/// Engine, rows and Keeper path of an object that comes or goes.
fn facts(object: &ObjectDiff) -> String {
    if object.change == Change::Changed {
        return String::new();
    }
    let one = |sides: &Sides<String>| sides.expected.clone().or_else(|| sides.now.clone());
    let mut words: Vec<String> = object.engine.iter().filter_map(one).collect();
    words.extend(object.rows.iter().filter_map(|rows| rows.expected.or(rows.now)).map(|rows| count(rows, "row")));
    words.extend(object.keeper_path.iter().filter_map(one));
    if words.is_empty() { String::new() } else { format!("  {}", words.join("  ")) }
}

fn sides<T>(sides: &Sides<T>, show: impl Fn(&T) -> String) -> String {
    let word = |value: &Option<T>| value.as_ref().map_or_else(|| "none".to_owned(), &show);
    format!("{} → {}", word(&sides.now), word(&sides.expected))
}

fn kind_word(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Database => "database",
        ObjectKind::Table => "table",
        ObjectKind::View => "view",
        ObjectKind::Dictionary => "dictionary",
    }
}

/// Wraps with another indent from the second line on.
fn hanging(text: &str, width: usize, first: &str, rest: &str) -> String {
    let wrapped = wrap(text, width, rest);
    wrapped.strip_prefix(rest).map_or_else(|| wrapped.clone(), |tail| format!("{first}{tail}"))
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}
