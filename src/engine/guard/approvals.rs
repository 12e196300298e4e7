//! Signed approvals: people sign the digest of a plan with their SSH keys, and `ssh-keygen -Y verify` says who.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::diag::Refusal;
use crate::engine::ports::{Command, CommandOutput, Commands};
use crate::model::guards::{ApprovalsGuard, Guards};
use crate::model::ids::HostName;
use crate::plan::fact::Fact;
use crate::plan::plan_file::{Plan, sha256};

/// Namespace of the signatures: one made for something else does not count.
pub const SIGNATURE_NAMESPACE: &str = "clickferry-plan";

const PATIENCE: Duration = Duration::from_secs(30);

/// What is signed: the whole digest, and a line break.
#[must_use]
pub fn signed_text(plan: &Plan) -> String {
    format!("{}\n", plan.digest)
}

/// Who signed, and with which key.
struct Signer {
    name: String,
    key: String,
}

/// Who may sign is a part of what is signed: their file must be the same at apply. Relative names start at `folder`.
#[must_use]
pub fn signers_facts(guards: &Guards, folder: &Path) -> Vec<Fact> {
    let Some(guard) = &guards.approvals else { return Vec::new() };
    let value = match std::fs::read(folder.join(&guard.signers)) {
        Ok(content) => format!("content with SHA-256 {}", sha256(&content)),
        Err(_) => "cannot be read".to_owned(),
    };
    let subject = format!("signers in `{}` (`guards.approvals`)", guard.signers);
    let query = format!("sha256sum {}, in the folder of the environment file", guard.signers);
    vec![Fact::new(&HostName::default(), subject, value, query)]
}

/// Checks the signatures over a plan; relative names of signers' files start at `folder`. Returns who signed, each
/// person and each key once.
///
/// # Errors
/// Every signature that does not hold, and too few of them.
pub async fn check_approvals(
    plan: &Plan,
    guard: &ApprovalsGuard,
    folder: &Path,
    signatures: &[PathBuf],
    commands: &dyn Commands,
) -> Result<Vec<String>, Vec<Refusal>> {
    let signers = folder.join(&guard.signers);
    if !signers.is_file() {
        return Err(vec![refuse(
            "the file of those who may approve cannot be read".to_owned(),
            format!("{} (`guards.approvals.signers`, relative to the environment file)", signers.display()),
            "no such file".to_owned(),
            format!("ls -l {}", signers.display()),
            "put it there: one line per person, `name ssh-ed25519 AAAA...`, as ALLOWED SIGNERS of ssh-keygen(1) says",
        )]);
    }
    let (mut names, mut keys, mut problems) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for signature in signatures {
        match verify(plan, &signers, signature, commands).await {
            // A person with two keys, or one key under two names, is one person.
            Ok(signer) if !names.contains(&signer.name) && !keys.contains(&signer.key) => {
                names.insert(signer.name);
                keys.insert(signer.key);
            }
            Ok(_) => {}
            Err(refusal) => problems.push(*refusal),
        }
    }
    if names.len() < guard.count as usize {
        problems.push(too_few(plan, guard, &names, signatures.len()));
    }
    if problems.is_empty() { Ok(names.into_iter().collect()) } else { Err(problems) }
}

fn too_few(plan: &Plan, guard: &ApprovalsGuard, names: &BTreeSet<String>, given: usize) -> Refusal {
    let who: Vec<&str> = names.iter().map(String::as_str).collect();
    refuse(
        "the plan is not approved by enough people".to_owned(),
        format!("{} of those in {} (`guards.approvals`)", guard.count, guard.signers),
        match (who.as_slice(), given) {
            ([], 0) => "no signature".to_owned(),
            ([], given) => format!("{given} signatures, none of which counts"),
            (who, _) => format!("{}: {}", who.len(), who.join(", ")),
        },
        format!("the digest of the plan is {}", plan.digest),
        "each of them saves or gets the plan, reads it, and signs it: `clickferry approve PLAN --key KEY`; then apply with the signatures beside the plan, or with `--approval FILE`",
    )
}

async fn verify(
    plan: &Plan,
    signers: &Path,
    signature: &Path,
    commands: &dyn Commands,
) -> Result<Signer, Box<Refusal>> {
    let name = signature.display().to_string();
    let file = signers.display().to_string();
    if !signature.is_file() {
        return Err(Box::new(refuse(
            format!("the approval {name} cannot be read"),
            "a signature made by `clickferry approve`".to_owned(),
            "no such file".to_owned(),
            format!("ls -l {name}"),
            "correct `--approval`",
        )));
    }
    let found = keygen(commands, &["-Y", "find-principals", "-s", &name, "-f", &file], None).await?;
    let principals: Vec<&str> = found.stdout.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if found.code != Some(0) || principals.is_empty() {
        return Err(Box::new(refuse(
            format!("the approval {name} is not by anybody who may approve"),
            format!("a signature by a key of {file}"),
            said(&found),
            format!("ssh-keygen -Y find-principals -s {name} -f {file}"),
            "leave it out; or have its key added to the file by whoever answers for it",
        )));
    }
    let mut last = None;
    for principal in principals {
        let words = ["-Y", "verify", "-f", &file, "-I", principal, "-n", SIGNATURE_NAMESPACE, "-s", &name];
        let output = keygen(commands, &words, Some(signed_text(plan))).await?;
        if output.code == Some(0) {
            let key = output.stdout.split_whitespace().find(|word| word.starts_with("SHA256:"));
            return Ok(Signer { name: principal.to_owned(), key: key.unwrap_or(principal).to_owned() });
        }
        last = Some((principal, output));
    }
    let (principal, output) = last.map_or(("", String::new()), |(principal, output)| (principal, said(&output)));
    Err(Box::new(refuse(
        format!("the approval {name} is not for this plan"),
        format!("a signature of {principal} over the digest {}", plan.digest),
        output,
        format!(
            "echo {} | ssh-keygen -Y verify -f {file} -I {principal} -n {SIGNATURE_NAMESPACE} -s {name}",
            plan.digest
        ),
        "remove it where it was made for an earlier plan, and have this one read and signed",
    )))
}

async fn keygen(commands: &dyn Commands, words: &[&str], input: Option<String>) -> Result<CommandOutput, Box<Refusal>> {
    let command = Command {
        words: std::iter::once("ssh-keygen").chain(words.iter().copied()).map(str::to_owned).collect(),
        input,
        timeout: PATIENCE,
        ..Command::default()
    };
    commands.run(command).await.map_err(|reason| {
        Box::new(refuse(
            "approvals cannot be checked without ssh-keygen".to_owned(),
            "ssh-keygen of OpenSSH 8.2 or later on the PATH".to_owned(),
            reason,
            "ssh-keygen -Y verify".to_owned(),
            "install it (package `openssh-client`, elsewhere `openssh-clients` or `openssh`)",
        ))
    })
}

/// The last line that ssh-keygen wrote.
fn said(output: &CommandOutput) -> String {
    let lines: Vec<&str> =
        output.stderr.lines().chain(output.stdout.lines()).map(str::trim).filter(|line| !line.is_empty()).collect();
    match (lines.is_empty(), output.code) {
        (true, Some(code)) => format!("ssh-keygen ended with exit code {code}"),
        (true, None) => "ssh-keygen did not end".to_owned(),
        (false, _) => format!("ssh-keygen: {}", lines.join("; ")),
    }
}

fn refuse(what: String, expected: String, found: String, evidence: String, action: &str) -> Refusal {
    Refusal { what, expected, found, evidence, action: action.to_owned() }
}
