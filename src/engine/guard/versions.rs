//! Versions of the server that a backup comes from and of those it is restored to.
//!
//! A release is the year and the month of a version: `25.3.2.39` is 25.3. The distance of two releases is the number
//! of months between them, so from 25.3 to 26.7 it is 16, whichever of the monthly releases were long-term ones.

use std::fmt;

use serde_json::Value;

use crate::diag::Refusal;
use crate::model::guards::Guards;
use crate::model::ids::StepId;
use crate::model::observed::World;

/// Year and month of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Release {
    year: u32,
    month: u32,
}

impl Release {
    /// `25.3`, `25.3.2.39`, `24.8.4.13.altinitystable`. Releases before 20.1 were not numbered by month.
    fn parse(version: &str) -> Option<Self> {
        let mut parts = version.trim().split('.');
        let mut number = || {
            let part = parts.next()?;
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u32>().ok()).flatten()
        };
        let (year, month) = (number()?, number()?);
        ((20..100).contains(&year) && (1..=12).contains(&month)).then_some(Self { year, month })
    }

    fn distance(self, other: Self) -> u32 {
        (self.year * 12 + self.month).abs_diff(other.year * 12 + other.month)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.year, self.month)
    }
}

/// A step as this guard sees it: id, name of the action, arguments.
pub type StepSeen<'a> = (&'a StepId, &'a str, &'a Value);

/// A server with its version.
struct Server {
    place: String,
    version: String,
    evidence: String,
}

/// Compares, for every `restore` step, the version that made the backup with those it goes to. Returns what is
/// refused, and what a reviewer should know.
#[must_use]
pub fn check_versions(guards: &Guards, steps: &[StepSeen<'_>], world: &World) -> (Vec<Refusal>, Vec<String>) {
    let guard = guards.versions.clone().unwrap_or_default();
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    if guard.allow_older && guard.max_distance.is_none() {
        return (problems, notes);
    }
    for (id, _, arguments) in steps.iter().filter(|(_, action, _)| *action == "restore") {
        let text = |key: &str| arguments.get(key).and_then(Value::as_str);
        let from = match text("backup") {
            Some(step) => made_by_step(step, steps, world),
            None => match (&guard.of_existing_backups, guard.max_distance) {
                (Some(version), _) => vec![Server {
                    place: "the backup in the bucket".to_owned(),
                    version: version.clone(),
                    evidence: "`guards.versions.of_existing_backups` in the runbook".to_owned(),
                }],
                (None, Some(_)) => {
                    problems.push(untold(id));
                    continue;
                }
                (None, None) => {
                    notes.push(format!(
                        "step `{id}`: a backup does not tell which release made it, so nothing checks that the target is not older; name it in `guards.versions.of_existing_backups`"
                    ));
                    continue;
                }
            },
        };
        let to = text("to").map(|role| servers(role, world)).unwrap_or_default();
        for source in &from {
            for target in &to {
                let found = compare(id, source, target, guard.allow_older, guard.max_distance);
                problems.extend(found.filter(|refusal| !problems.contains(refusal)));
            }
        }
    }
    (problems, notes)
}

fn made_by_step(step: &str, steps: &[StepSeen<'_>], world: &World) -> Vec<Server> {
    steps
        .iter()
        .filter(|(id, action, _)| id.as_str() == step && *action == "backup")
        .filter_map(|(_, _, arguments)| arguments.get("from").and_then(Value::as_str))
        .flat_map(|role| servers(role, world))
        .collect()
}

fn servers(role: &str, world: &World) -> Vec<Server> {
    let hosts = world.targets.get(role).map(|target| target.hosts.as_slice()).unwrap_or_default();
    hosts
        .iter()
        .map(|host| Server {
            place: host.name.0.clone(),
            version: host.version.clone(),
            evidence: format!("on {}: SELECT version()", host.name),
        })
        .collect()
}

fn compare(
    step: &StepId,
    source: &Server,
    target: &Server,
    allow_older: bool,
    max_distance: Option<u32>,
) -> Option<Refusal> {
    let refuse = |what: String, expected: String, found: String, evidence: String, action: &str| {
        Some(Refusal { what: format!("step `{step}`: {what}"), expected, found, evidence, action: action.to_owned() })
    };
    let both = format!("{}; {}", source.evidence, target.evidence);
    let (Some(from), Some(to)) = (Release::parse(&source.version), Release::parse(&target.version)) else {
        let unknown = if Release::parse(&source.version).is_none() { source } else { target };
        return refuse(
            format!("the version of {} cannot be told", unknown.place),
            "a version that begins with year and month, such as 25.3.2.39".to_owned(),
            format!("`{}`", unknown.version),
            unknown.evidence.clone(),
            "without it nobody knows whether the target can read the backup. If you do: set `allow_older: true`, and no `max_distance`, under `guards.versions` in the runbook",
        );
    };
    let found = format!(
        "{} is {} (release {from}), {} is {} (release {to})",
        source.place, source.version, target.place, target.version
    );
    if to < from && !allow_older {
        return refuse(
            format!("{} is older than the server of the backup", target.place),
            format!(
                "release {from} or later: an older server may not know the parts, types and settings of a later one"
            ),
            found,
            both,
            "upgrade the target first; or, if it was tried with this data, set `guards.versions.allow_older: true` in the runbook and have it reviewed",
        );
    }
    let distance = from.distance(to);
    let limit = max_distance.filter(|limit| distance > *limit)?;
    refuse(
        format!("{} is too many releases away from the server of the backup", target.place),
        format!("at most {limit} releases (`guards.versions.max_distance`)"),
        format!("{distance} releases: {found}"),
        both,
        "upgrade in between; or raise `guards.versions.max_distance` in the runbook, after a rehearsal, and have it reviewed",
    )
}

fn untold(step: &StepId) -> Refusal {
    Refusal {
        what: format!("step `{step}`: it is not known which release made the backup"),
        expected: "a release to compare with, for `guards.versions.max_distance`".to_owned(),
        found: "a backup in the bucket does not tell it".to_owned(),
        evidence: String::new(),
        action: "name it in the runbook: `guards.versions.of_existing_backups: \"25.3\"`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::guard::tests::{guards, host, world};

    fn check(limits: &str, from: &str, to: &[&str]) -> Vec<String> {
        let hosts = to.iter().enumerate().map(|(at, version)| (format!("r{at}"), *version));
        let world = world(&[
            ("source", vec![host("sa", from, 0, &[])]),
            ("destination", hosts.map(|(name, version)| host(&name, version, 0, &[])).collect()),
        ]);
        let (backup, restore) = (StepId::from("b"), StepId::from("r"));
        let (made, put) = (json!({ "from": "source" }), json!({ "backup": "b", "to": "destination" }));
        let steps = [(&backup, "backup", &made), (&restore, "restore", &put)];
        let (problems, notes) = check_versions(&guards(limits), &steps, &world);
        assert!(notes.is_empty());
        problems.into_iter().map(|problem| format!("{}: {}", problem.what, problem.found)).collect()
    }

    #[test]
    fn releases_are_counted_in_months() {
        let release = |text| Release::parse(text).unwrap();
        assert_eq!(release("25.3").distance(release("26.7.1.1")), 16);
        assert_eq!(release("26.7").distance(release("25.3")), 16);
        assert_eq!(release("25.12").distance(release("26.1")), 1);
        assert_eq!(release("24.8.4.13.altinitystable"), Release { year: 24, month: 8 });
        for unknown in ["", "25", "head", "v25.3", "25.0", "25.13", "19.17.2", "1.1.54385", "25.3rc1", "+25.3"] {
            assert_eq!(Release::parse(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn the_distance_is_limited_where_the_runbook_says_so() {
        assert!(check("{ versions: { max_distance: 16 } }", "25.3.1.1", &["26.7.1.1"]).is_empty());
        assert!(check("{}", "23.1.1.1", &["26.7.1.1"]).is_empty());
        let refused = check("{ versions: { max_distance: 15 } }", "25.3.1.1", &["26.6.1.1", "26.7.1.1"]);
        assert_eq!(
            refused,
            [
                "step `r`: r1 is too many releases away from the server of the backup: 16 releases: sa is 25.3.1.1 (release 25.3), r1 is 26.7.1.1 (release 26.7)"
            ]
        );
    }

    #[test]
    fn an_older_target_is_refused_unless_the_runbook_allows_it() {
        assert!(check("{}", "25.8.9.1", &["25.8.2.1"]).is_empty(), "patches do not count");
        assert_eq!(check("{}", "25.8.1.1", &["25.8.1.1", "25.7.1.1"]).len(), 1);
        assert!(check("{ versions: { allow_older: true } }", "25.8.1.1", &["25.7.1.1"]).is_empty());
        assert_eq!(check("{ versions: { allow_older: true, max_distance: 0 } }", "25.8.1.1", &["25.7.1.1"]).len(), 1);
    }

    #[test]
    fn an_unknown_version_is_refused() {
        let refused = check("{}", "25.8.1.1", &["head"]);
        assert_eq!(refused, ["step `r`: the version of r0 cannot be told: `head`"]);
        assert!(check("{ versions: { allow_older: true } }", "custom", &["head"]).is_empty());
    }

    #[test]
    fn the_release_of_a_backup_in_the_bucket_is_told_by_the_runbook() {
        let world = world(&[("destination", vec![host("r0", "25.3.1.1", 0, &[])])]);
        let id = StepId::from("r");
        let arguments = json!({ "backup": { "storage": "backups", "path": "p" }, "to": "destination" });
        let check = |limits: &str| {
            let (problems, notes) = check_versions(&guards(limits), &[(&id, "restore", &arguments)], &world);
            (problems.len(), notes.len())
        };
        assert_eq!(check("{}"), (0, 1));
        assert_eq!(check("{ versions: { max_distance: 3 } }"), (1, 0));
        assert_eq!(check("{ versions: { max_distance: 3, of_existing_backups: '25.1' } }"), (0, 0));
        assert_eq!(check("{ versions: { of_existing_backups: '25.4' } }"), (1, 0));
    }
}
