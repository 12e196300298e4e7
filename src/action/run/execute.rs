//! Running of `run`: started once; its output kept beside the journal, without secrets.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::arguments::Variable;
use super::plan::RunData;
use super::words::tail;
use crate::action::select::{Single, ask};
use crate::engine::action::{Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::locks::machine;
use crate::engine::ports::{Command, CommandLife, CommandOutput};
use crate::plan::operation::Effect;

/// Lines of the output that errors and outcomes show; the whole is kept in the run's folder.
const TAIL_LINES: usize = 20;

/// What tells, after a crash, whether the command still runs; part of the intent.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    /// The machine that it was started on, in this boot and this space of process ids.
    machine: String,
    /// The file that it holds locked.
    file: PathBuf,
}

/// Makes the mark of the command, where it changes something.
pub fn prepare(context: &RunContext<'_>) -> Result<Value, RunError> {
    if context.operation.effect == Effect::Read {
        return Ok(Value::Null);
    }
    match context.ports.commands.mark(&context.query_id()) {
        Ok(file) => Ok(json!(Mark { machine: machine(), file })),
        Err(reason) => Err(context.fail(
            RunErrorKind::NotSent,
            "the file that tells whether the command still runs cannot be made",
            "a folder for temporary files that is this user's alone",
            reason,
            format!("ls -ld {}", std::env::temp_dir().display()),
            "make room there, or name another folder with TMPDIR, then `clickferry resume`",
        )),
    }
}

/// Whether the command of this attempt still runs. A command goes on when its engine is killed.
fn life(context: &RunContext<'_>) -> CommandLife {
    let Some(mark) = context.intent_data::<Mark>() else {
        return CommandLife::Unknown("its intent does not say where it was started".to_owned());
    };
    if mark.machine.is_empty() || mark.machine != machine() {
        return CommandLife::Unknown("it was started on another machine, or before this one was restarted".to_owned());
    }
    context.ports.commands.life(&mark.file)
}

/// Starts the command and waits for its end.
pub async fn run(context: &RunContext<'_>) -> Result<(), RunError> {
    let data: RunData = context.data()?;
    let mark = context.intent_data::<Mark>().map(|mark| mark.file);
    let output = start(context, &data, &data.command, mark).await?;
    let document = document(context);
    let text = format!("{}\n--- standard error ---\n{}", output.stdout, output.stderr);
    context.ports.state.put(&context.run.id, &document, text.as_bytes()).await.map_err(|error| {
        context.fail(
            RunErrorKind::AskProbe,
            "the output of the command could not be kept",
            "a state that can be written",
            error.to_string(),
            "",
            "repair the place of the state, then `clickferry resume`",
        )
    })?;
    let wanted = data.expect.exit_code;
    if output.code != Some(wanted) {
        let found = match (output.timed_out, output.code) {
            (true, _) => "it was killed when its time had run out".to_owned(),
            (false, Some(code)) => format!("exit code {code}"),
            (false, None) => "a signal ended it".to_owned(),
        };
        let kind =
            if context.operation.effect == Effect::Read { RunErrorKind::Differs } else { RunErrorKind::AskProbe };
        let action = "look at the output and repair the cause, then `clickferry resume`";
        return Err(context.fail(
            kind,
            "the command failed",
            format!("exit code {wanted}"),
            with_output(&found, &output),
            evidence(&document),
            action,
        ));
    }
    if let Some(wanted) = &data.expect.stdout_contains
        && !output.stdout.contains(&context.fill_path(wanted)?)
    {
        let kind = if context.operation.effect == Effect::Read { RunErrorKind::Differs } else { RunErrorKind::Broken };
        return Err(context.fail(
            kind,
            "the command did not print what it should",
            format!("`{wanted}` in its standard output"),
            with_output("other output", &output),
            evidence(&document),
            "look at the output; correct the command or `expect:`, then plan anew",
        ));
    }
    Ok(())
}

/// Whether the command took effect.
pub async fn probe(context: &RunContext<'_>) -> Probe {
    if context.operation.effect == Effect::Read {
        return Probe::NotDone;
    }
    let life = life(context);
    if let CommandLife::Running(what) = &life {
        context.progress.progress(&context.operation.id, 0, None, &format!("waiting for {what}"));
        return Probe::Running;
    }
    match look(context).await {
        Ok(Some((true, _))) => Probe::Done,
        Ok(Some((false, found))) => match life {
            CommandLife::Unknown(reason) => Probe::Unknown(Box::new(context.refusal(
                "it cannot be told whether the command still runs",
                "a command that has ended, or a probe that says that it took effect",
                format!("{reason}; {found}"),
                "ps -e -o pid,lstart,args",
                "see on the machine that it was started on that it has ended, then say so: `clickferry resolve RUN OPERATION --not-done --reason ...`",
            ))),
            CommandLife::Running(_) | CommandLife::Ended => Probe::NotDone,
        },
        Ok(None) => Probe::Unknown(Box::new(context.refusal(
            "it cannot be told whether the command took effect",
            "a `probe:` in the step that tells it",
            "none is declared",
            evidence(&document(context)),
            "look at what the command brings about, then say how it ended: `clickferry resolve RUN OPERATION --done|--not-done --reason ...`; a `probe:` in the step answers it next time",
        ))),
        Err(error) => Probe::Unknown(Box::new(error.refusal)),
    }
}

/// Asks the probe where there is one, and tells what the command printed.
pub async fn prove(context: &RunContext<'_>) -> Result<Value, RunError> {
    let document = document(context);
    let kept = context.ports.state.get(&context.run.id, &document).await.ok();
    let printed = kept.map(|bytes| tail(&String::from_utf8_lossy(&bytes), TAIL_LINES));
    let mut outcome = json!({ "output": printed, "document": document });
    if let Some((done, found)) = look(context).await? {
        if !done {
            return Err(context.fail(
                RunErrorKind::Broken,
                "the command ended well, and its probe says that it took no effect",
                context.operation.check.as_str(),
                found,
                evidence(&document),
                "look at what the command brings about; correct the command or the probe, then plan anew",
            ));
        }
        outcome["probe"] = json!(found);
    }
    Ok(outcome)
}

/// Asks the probe: whether it means done, and what it found. `None` where there is no probe.
async fn look(context: &RunContext<'_>) -> Result<Option<(bool, String)>, RunError> {
    let data: RunData = context.data()?;
    let Some(probe) = &data.probe else { return Ok(None) };
    if let Some(words) = &probe.command {
        let output = start(context, &data, words, None).await?;
        let Some(code) = output.code else {
            return Err(context.fail(
                RunErrorKind::AskProbe,
                "the probe did not end by itself",
                "an exit code",
                with_output("none", &output),
                "",
                "repair the probe's command, then `clickferry resume`",
            ));
        };
        return Ok(Some((code == probe.exit_code.unwrap_or(0), format!("the probe exits with {code}"))));
    }
    let (Some(host), Some(query), Some(wanted)) = (&data.probe_host, &probe.query, &probe.equals) else {
        return Ok(None);
    };
    let query = context.fill_path(query.as_str())?;
    let answer = ask(context, host, None, &query)
        .await
        .map_err(|error| RunError::from_sql(format!("{}: the probe", context.operation.id), &error))?;
    let value = Single::of(&answer);
    Ok(Some((value.is(wanted), format!("{query} answers {value} on {host}"))))
}

/// Starts words with the step's environment; what comes back holds no secret.
async fn start(
    context: &RunContext<'_>,
    data: &RunData,
    words: &[String],
    mark: Option<PathBuf>,
) -> Result<CommandOutput, RunError> {
    let words: Vec<String> = words.iter().map(|word| context.fill_path(word)).collect::<Result<_, _>>()?;
    let mut environment = Vec::new();
    for (name, value) in &data.environment {
        let value = match value {
            Variable::Plain(text) => SecretString::from(context.fill_path(text)?),
            Variable::Secret(reference) => context.ports.secrets.resolve(reference).await.map_err(|error| {
                context.fail(
                    RunErrorKind::NotSent,
                    format!("the variable {name} has no value"),
                    "a secret that can be read",
                    error.to_string(),
                    "",
                    "make the secret readable for clickferry",
                )
            })?,
        };
        environment.push((name.clone(), value));
    }
    let directory =
        data.directory.as_deref().map(|directory| context.fill_path(directory)).transpose()?.map(Into::into);
    let program = words.first().cloned().unwrap_or_default();
    context.check_locks()?;
    // It gets the secrets that the step names, and not what clickferry itself was given to reach servers and buckets.
    let without = context.environment.secret_variables();
    let timeout = context.timeout;
    let command = Command { words, environment, without, mark, directory, timeout, ..Command::default() };
    let running = context.ports.commands.run(command);
    let output = tokio::select! {
        output = running => output,
        () = context.cancel.cancelled() => {
            return Err(context.fail(RunErrorKind::AskProbe, "the command was stopped because the run is", "", "it was killed with everything it had started", "", "`clickferry resume` asks its probe"));
        }
    };
    let mut output = output.map_err(|reason| {
        context.fail(
            RunErrorKind::NotSent,
            format!("`{program}` cannot be started"),
            "a program that can be started",
            context.ports.secrets.scrub(&reason),
            format!("command -v {program}"),
            "install it, correct `command:`, or add its folder to PATH",
        )
    })?;
    output.stdout = context.ports.secrets.scrub(&output.stdout);
    output.stderr = context.ports.secrets.scrub(&output.stderr);
    Ok(output)
}

fn with_output(found: &str, output: &CommandOutput) -> String {
    let text = [&output.stdout, &output.stderr].map(|text| tail(text, TAIL_LINES)).join("\n");
    format!("{found}\n{}", text.trim()).trim_end().to_owned()
}

/// Name of the document in the run's folder that keeps the output of this attempt.
fn document(context: &RunContext<'_>) -> String {
    format!("output-{}-{}.txt", context.operation.id.as_str().replace('/', "-"), context.attempt)
}

fn evidence(document: &str) -> String {
    format!("the file {document} in the run's folder")
}
