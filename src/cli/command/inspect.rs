//! `inspect`: what is there.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::cli::args::{Common, Format, InspectArgs};
use crate::cli::printer::Printer;
use crate::cli::session::{compile_for, given_parameters, open, open_for, read_source};
use crate::diag::{Failure, Refusal};
use crate::engine::bucket::{Bounds, find_backups};
use crate::engine::guard::CONSENT_LENGTH;
use crate::engine::keeper_seen::{SeenKeeper, see_keeper};
use crate::engine::look::observe_for;
use crate::engine::observe::observe;
use crate::engine::ports::ObjectError;
use crate::engine::snapshot::Snapshot;
use crate::exit_code::Exit;
use crate::model::environment::{Environment, TargetBinding};
use crate::model::runbook::Topology;
use crate::report::inspect_view::{Bucket, render_buckets, render_keepers, render_world};
use crate::report::text::count;

/// How far a bucket is looked through: it may be shared with others who put millions of objects there.
const BOUNDS: Bounds = Bounds { depth: 4, folders: 1000, contents: 20 };

/// Runs the command.
///
/// # Errors
/// Hosts and buckets that do not answer.
pub async fn run(args: &InspectArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    if let Some(runbook) = &args.runbook {
        return for_runbook(runbook, args, common, printer).await;
    }
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
    if let Some(path) = &args.output {
        let taken = session.ports.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let snapshot = Snapshot::of_world(&session.environment, world, taken);
        return save(&snapshot, path, common.format, printer);
    }
    let mut keepers: BTreeMap<String, SeenKeeper> = BTreeMap::new();
    for (role, target) in &world.targets {
        if let Some(keeper) = session.ports.keepers.get(role) {
            keepers.insert(role.clone(), see_keeper(&**keeper, target).await);
        }
    }
    let mut buckets = Vec::new();
    for (role, objects) in &session.ports.objects {
        let found = find_backups(&**objects, BOUNDS).await.map_err(|error| bucket_failure(role, &error))?;
        buckets.push(Bucket { role: role.clone(), place: objects.describe(), found });
    }
    match common.format {
        Format::Text => {
            printer.result(&render_world(&world, printer.width(), printer.style()));
            printer.result(&render_keepers(&keepers, printer.width(), printer.style()));
            printer.result(&render_buckets(&buckets, printer.width(), printer.style()));
        }
        Format::Json => {
            let pairs = |bucket: &Bucket| -> Vec<(String, bool)> {
                bucket.found.backups.iter().map(|backup| (backup.path.clone(), backup.complete)).collect()
            };
            let storage: BTreeMap<&str, Vec<(String, bool)>> =
                buckets.iter().map(|bucket| (bucket.role.as_str(), pairs(bucket))).collect();
            let contents: BTreeMap<&str, _> =
                buckets.iter().map(|bucket| (bucket.role.as_str(), &bucket.found)).collect();
            printer.result(&format!("{:#}\n", json!({ "version": 1, "environment": session.environment.metadata.name, "targets": world.targets, "backups": storage, "buckets": contents, "keeper": keepers })));
        }
    }
    Ok(Exit::Done)
}

/// Takes a snapshot of everything that planning a runbook looks at.
async fn for_runbook(runbook: &Path, args: &InspectArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let source = read_source(runbook)?;
    let given = given_parameters(common)?;
    let session = open_for(common, printer, Some(&source)).await?;
    let compiled = compile_for(&source, &given, &session.environment.metadata.name)?;
    let taken = session.ports.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let observations = observe_for(&compiled, &session.environment, &session.ports).await?;
    let snapshot = Snapshot::new(&session.environment, Some(&compiled), observations, taken);
    match &args.output {
        Some(path) => save(&snapshot, path, common.format, printer),
        None => Err(Failure::simple("no file is given for the snapshot", "add `-o FILE`")),
    }
}

fn save(snapshot: &Snapshot, path: &Path, format: Format, printer: &Printer) -> Result<Exit, Failure> {
    let text = snapshot.to_text();
    // Old servers show passwords in definitions; a file that travels must not hold one.
    if printer.redactor().scrub(&text) != text {
        return Err(Failure::refused(Refusal {
            what: "the snapshot would hold a secret of the environment".to_owned(),
            expected: "definitions without passwords and keys".to_owned(),
            found: "a secret in what the servers answer, most likely in the definition of a table or dictionary"
                .to_owned(),
            evidence: "SELECT database, name, create_table_query FROM system.tables".to_owned(),
            action: "move the secret into a named collection on the server; or plan with a connection".to_owned(),
        }));
    }
    std::fs::write(path, text).map_err(|error| {
        Failure::simple(
            format!("the snapshot cannot be written to {}: {error}", path.display()),
            "give another file with `-o`",
        )
    })?;
    let hosts = snapshot.observations.world.targets.values().map(|target| target.hosts.len() as u64).sum::<u64>();
    let fingerprint = snapshot.fingerprint.get(..CONSENT_LENGTH).unwrap_or_default();
    match format {
        Format::Json => printer.result(&format!(
            "{:#}\n",
            json!({ "version": 1, "snapshot": path, "hosts": hosts, "fingerprint": snapshot.fingerprint })
        )),
        Format::Text => {
            let purpose = match &snapshot.runbook {
                Some(runbook) => format!("for {}", runbook.name),
                None => "for no runbook: add `--for RUNBOOK` to plan against it".to_owned(),
            };
            printer.result(&format!(
                "{}: {} of {}, {purpose}. Fingerprint {fingerprint}\n",
                path.display(),
                count(hosts, "server"),
                snapshot.environment
            ));
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

fn bucket_failure(role: &str, error: &ObjectError) -> Failure {
    Failure::error(Refusal {
        what: format!("the storage `{role}` cannot be listed"),
        expected: "a bucket that answers".to_owned(),
        found: error.to_string(),
        evidence: "clickferry inspect -e ENVIRONMENT".to_owned(),
        action: "correct endpoint, bucket or credentials of the storage in the environment".to_owned(),
    })
}
