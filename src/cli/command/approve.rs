//! `approve`: signs a saved plan with an SSH key.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use super::apply::owner;
use crate::cli::args::{ApproveArgs, Common, Format};
use crate::cli::printer::Printer;
use crate::cli::saved_plan::read_plan;
use crate::diag::{Failure, Refusal};
use crate::engine::guard::{CONSENT_LENGTH, SIGNATURE_NAMESPACE, signed_text};
use crate::exit_code::Exit;
use crate::report::plan_view::loss_words;

/// Runs the command. Contacts no server.
///
/// # Errors
/// A file that is no plan, a key that cannot sign.
pub fn run(args: &ApproveArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let plan = read_plan(&args.plan)?;
    let identity = args.identity.clone().unwrap_or_else(owner);
    let signature = sign(&args.key, &signed_text(&plan))?;
    let output = args.output.clone().unwrap_or_else(|| beside(&args.plan, &identity));
    std::fs::write(&output, signature).map_err(|error| {
        Failure::simple(
            format!("the signature cannot be written to {}: {error}", output.display()),
            "give another file with `--output`",
        )
    })?;
    let digest = plan.digest.get(..CONSENT_LENGTH).unwrap_or_default();
    match common.format {
        Format::Json => printer.result(&format!(
            "{:#}\n",
            json!({ "version": 1, "plan": plan.digest, "identity": identity, "signature": output })
        )),
        _ => {
            let loss = if plan.destroys_something() {
                format!("destroys {}", loss_words(plan.loss()))
            } else {
                "destroys nothing".to_owned()
            };
            printer.result(&format!(
                "Approved plan {digest} of {} on {}, which {loss}: {}\n",
                plan.runbook,
                plan.environment,
                output.display()
            ));
        }
    }
    Ok(Exit::Done)
}

/// `PLAN.<identity>.sig`, whatever stands in the identity.
fn beside(plan: &Path, identity: &str) -> PathBuf {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '@' | '.' | '-' | '_');
    let identity: String = identity.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    let mut name = plan.as_os_str().to_owned();
    name.push(format!(".{identity}.sig"));
    PathBuf::from(name)
}

/// Lets ssh-keygen sign; it asks for a passphrase at the terminal itself.
fn sign(key: &Path, text: &str) -> Result<Vec<u8>, Failure> {
    let refuse = |expected: &str, found: String, action: &str| {
        Failure::error(Refusal {
            what: format!("the plan was not signed with {}", key.display()),
            expected: expected.to_owned(),
            found,
            evidence: format!("ssh-keygen -l -f {}", key.display()),
            action: action.to_owned(),
        })
    };
    let missing = |error: std::io::Error| {
        refuse(
            "ssh-keygen of OpenSSH 8.2 or later on the PATH",
            error.to_string(),
            "install it (package `openssh-client`, elsewhere `openssh-clients` or `openssh`)",
        )
    };
    let mut child = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", SIGNATURE_NAMESPACE, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(missing)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Where it ended before reading, its exit code tells why.
        let _ = stdin.write_all(text.as_bytes());
    }
    let output = child.wait_with_output().map_err(missing)?;
    if output.status.success() && output.stdout.starts_with(b"-----BEGIN SSH SIGNATURE-----") {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(refuse(
        "a signature",
        if said.is_empty() { format!("ssh-keygen: {}", output.status) } else { said },
        "give the private key, or the public one of a key that your SSH agent holds",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_lies_beside_its_plan() {
        let name = |identity| beside(Path::new("plans/plan.json"), identity).display().to_string();
        assert_eq!(name("ann@host-1"), "plans/plan.json.ann@host-1.sig");
        assert_eq!(name("../x y/z"), "plans/plan.json..._x_y_z.sig");
    }
}
