//! `inspect`: what is there.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::args::{Common, Format, InspectArgs};
use crate::cli::printer::Printer;
use crate::cli::session::open;
use crate::diag::{Failure, Refusal};
use crate::engine::observe::observe;
use crate::engine::ports::{ObjectError, Objects};
use crate::exit_code::Exit;
use crate::model::environment::{Environment, TargetBinding};
use crate::model::runbook::Topology;
use crate::report::inspect_view::{Bucket, render_buckets, render_world};

/// Most levels of folders that are searched for backups.
const DEPTH: usize = 4;

/// Runs the command.
///
/// # Errors
/// Hosts and buckets that do not answer.
pub async fn run(args: &InspectArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let session = open(common, printer).await?;
    let known: Vec<&String> = session.environment.targets.keys().collect();
    if let Some(unknown) = args.targets.iter().find(|name| !known.contains(name)) {
        let known: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
        return Err(Failure::simple(
            format!("the environment has no target `{unknown}`"),
            format!("one of: {}", known.join(", ")),
        ));
    }
    let wanted: BTreeMap<String, Topology> = session
        .environment
        .targets
        .iter()
        .filter(|(role, _)| {
            if args.targets.is_empty() { !is_alias(role, &session.environment) } else { args.targets.contains(role) }
        })
        .map(|(role, binding)| {
            (role.clone(), if binding.cluster.is_some() { Topology::Replicated } else { Topology::Standalone })
        })
        .collect();
    let world = observe(&session.environment, &wanted, &session.ports).await?;
    let mut buckets = Vec::new();
    for (role, objects) in &session.ports.objects {
        let backups = backups(&**objects).await.map_err(|error| bucket_failure(role, &error))?;
        buckets.push(Bucket { role: role.clone(), place: objects.describe(), backups });
    }
    match common.format {
        Format::Text => {
            printer.result(&render_world(&world, printer.style()));
            printer.result(&render_buckets(&buckets, printer.style()));
        }
        Format::Json => {
            let storage: BTreeMap<&str, &[(String, bool)]> =
                buckets.iter().map(|bucket| (bucket.role.as_str(), bucket.backups.as_slice())).collect();
            printer.result(&format!("{:#}\n", json!({ "version": 1, "environment": session.environment.metadata.name, "targets": world.targets, "backups": storage })));
        }
    }
    Ok(Exit::Done)
}

/// Whether an earlier target of the environment has the same hosts: they are looked at once.
fn is_alias(role: &str, environment: &Environment) -> bool {
    let urls = |binding: &TargetBinding| binding.hosts.iter().map(|host| host.url.clone()).collect::<Vec<_>>();
    let Some((at, _, own)) = environment.targets.get_full(role) else { return false };
    environment.targets.values().take(at).any(|earlier| urls(earlier) == urls(own))
}

/// Paths of the backups in a bucket, and whether each is complete: a `.backup` and no `.lock`.
async fn backups(objects: &dyn Objects) -> Result<Vec<(String, bool)>, ObjectError> {
    let mut found = Vec::new();
    let mut level = vec![String::new()];
    for _ in 0..=DEPTH {
        let mut next = Vec::new();
        for prefix in level {
            let names = objects.list_level(&prefix).await?;
            let has = |name: &str| names.iter().any(|entry| entry == name);
            if has(".backup") || has(".lock") {
                found.push((prefix.trim_end_matches('/').to_owned(), has(".backup") && !has(".lock")));
            } else {
                next.extend(names.into_iter().map(|name| format!("{prefix}{name}/")));
            }
        }
        level = next;
    }
    found.sort();
    Ok(found)
}

fn bucket_failure(role: &str, error: &ObjectError) -> Failure {
    Failure::error(Refusal {
        what: format!("the storage `{role}` cannot be listed"),
        expected: "a bucket that answers".to_owned(),
        found: error.to_string(),
        evidence: String::new(),
        action: "correct endpoint, bucket or credentials of the storage in the environment".to_owned(),
    })
}
