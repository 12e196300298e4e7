//! Storage policies, disks, clusters and users that definitions name: whether the servers have them.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::Known;
use super::plan::Object;
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::observed::{HostWorld, TargetWorld};
use crate::plan::convert::Demand;

/// One refusal for each thing that a server lacks; a note where the servers did not tell.
pub fn problems(
    context: &mut PlanContext<'_>,
    target: &TargetWorld,
    database: &str,
    observed: &Known<'_>,
    objects: &BTreeMap<String, Object>,
) -> Vec<Refusal> {
    let mut lacking: BTreeMap<String, Lacking> = BTreeMap::new();
    let mut untold: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, object) in objects {
        for demand in &object.created.demands {
            let full = format!("{database}.{name}");
            for host in &target.hosts {
                let Some(known) = known(demand, host, observed) else {
                    untold.entry(words(demand)).or_default().insert(full.clone());
                    continue;
                };
                if known.iter().any(|have| have == wanted(demand)) {
                    continue;
                }
                let lack = lacking.entry(words(demand)).or_default();
                lack.query = query(demand);
                lack.objects.insert(full.clone());
                lack.hosts.insert(host.name.0.clone());
                lack.have.insert(format!("{} has {}", host.name, none_or(&known)));
            }
        }
    }
    for (words, names) in untold {
        let names = joined(&names, ", ");
        context.notes.push(format!("{words} must exist on the new servers, which do not tell: {names}"));
    }
    let refusal = |(words, lack): (String, Lacking)| {
        let hosts = joined(&lack.hosts, ", ");
        context
            .refuse(
                format!("{} would not be created: {words} is missing on {hosts}", joined(&lack.objects, ", ")),
                format!("{words} on every host of the target"),
                joined(&lack.have, "\n"),
                "configure it on these servers, or leave the objects out with `except_tables` and create them by hand",
            )
            .shown_by(format!("on {hosts}: {}", lack.query))
    };
    lacking.into_iter().map(refusal).collect()
}

/// Something that servers lack.
#[derive(Default)]
struct Lacking {
    query: &'static str,
    objects: BTreeSet<String>,
    hosts: BTreeSet<String>,
    have: BTreeSet<String>,
}

fn joined(words: &BTreeSet<String>, between: &str) -> String {
    words.iter().map(String::as_str).collect::<Vec<_>>().join(between)
}

fn words(demand: &Demand) -> String {
    match demand {
        Demand::Policy(name) => format!("the storage policy `{name}`"),
        Demand::Disk(name) => format!("the disk `{name}`"),
        Demand::Cluster(name) => format!("the cluster `{name}`"),
        Demand::User(name) => format!("the user `{name}`"),
    }
}

fn wanted(demand: &Demand) -> &str {
    match demand {
        Demand::Policy(name) | Demand::Disk(name) | Demand::Cluster(name) | Demand::User(name) => name,
    }
}

fn query(demand: &Demand) -> &'static str {
    match demand {
        Demand::Policy(_) => "SELECT DISTINCT policy_name FROM system.storage_policies",
        Demand::Disk(_) => "SELECT name FROM system.disks",
        Demand::Cluster(_) => "SELECT DISTINCT cluster FROM system.clusters",
        Demand::User(_) => super::users::QUERY,
    }
}

/// What a host has of the kind; `None` where it did not tell.
fn known(demand: &Demand, host: &HostWorld, observed: &Known<'_>) -> Option<Vec<String>> {
    match demand {
        Demand::Policy(_) => {
            (!host.storage.policies.is_empty()).then(|| host.storage.policies.keys().cloned().collect())
        }
        Demand::Disk(_) => (!host.storage.is_empty()).then(|| host.storage.disks.keys().cloned().collect()),
        Demand::Cluster(_) => host.clusters.clone(),
        Demand::User(_) => {
            let users = observed.users.get(host.name.as_str())?;
            Some(users.iter().map(|user| (*user).to_owned()).collect())
        }
    }
}

fn none_or(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
