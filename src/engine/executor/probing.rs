//! How an attempt ended whose outcome is not known: the probe, asked until it can tell.

use std::time::{Duration, Instant};

use super::evidence::with_evidence;
use super::silence::{Ask, Silence};
use super::stop::Stop;
use super::{Execution, LostBy};
use crate::diag::{Failure, Refusal};
use crate::engine::action::{Action, Probe};
use crate::engine::context::RunContext;
use crate::engine::event::RunEvent;
use crate::engine::journal::Entry;
use crate::engine::retry::Policy;

/// First wait between two probes of an operation that still runs.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

/// What a probe told in the end.
pub(super) enum Probed {
    Done,
    NotDone,
}

impl Execution<'_> {
    /// Asks the probe until it knows; waits while the operation still runs on the server.
    pub(super) async fn probe(
        &self,
        action: &dyn Action,
        policy: &Policy<'_>,
        context: &RunContext<'_>,
        (failed_with, lost): (Option<&Refusal>, LostBy),
        started: Instant,
    ) -> Result<Probed, Stop> {
        let operation = context.operation;
        let why = failed_with
            .map_or("an earlier process ended between its intent and its outcome", |refusal| refusal.found.as_str());
        self.observer.event(&RunEvent::Probing { operation, why });
        let mut pause = PROBE_PAUSE;
        let mut told_running = false;
        let mut has_killed = false;
        let mut settling = self.settling(context, lost);
        let mut silence = Silence::new(policy.patience());
        loop {
            let asking = self.settled_probe(action, context, &mut settling);
            let probe = self.unless_detached(operation, asking).await?;
            if let Probe::Unknown(_) = &probe {
                match self.silent(context, &mut silence).await? {
                    Ask::Again => continue,
                    Ask::NoMore => {}
                }
            }
            let (answer, evidence) = match &probe {
                Probe::Done => ("done", None),
                Probe::NotDone => ("not_done", None),
                Probe::Running => ("running", None),
                Probe::Unknown(refusal) => ("unknown", Some((&**refusal).into())),
            };
            let is_running = matches!(probe, Probe::Running);
            if !(is_running && told_running) {
                self.journal
                    .append(Entry::Probed {
                        operation: operation.id.clone(),
                        attempt: context.attempt,
                        answer: answer.to_owned(),
                        evidence,
                    })
                    .await?;
                self.observer.event(&RunEvent::Probed { operation, answer: &answer.replace('_', " ") });
            }
            match probe {
                Probe::Done => return Ok(Probed::Done),
                Probe::NotDone => return Ok(Probed::NotDone),
                Probe::Unknown(refusal) => {
                    let told = with_evidence(context, *refusal, failed_with);
                    return Err(Stop::Failure(Failure::Unknown(vec![told])));
                }
                // What an earlier process began is stopped as what this one did.
                Probe::Running if self.kill.is_cancelled() && !has_killed => {
                    has_killed = true;
                    told_running = true;
                    self.kill_of(action, context).await;
                    continue;
                }
                Probe::Running if self.stop.is_cancelled() && !has_killed => {
                    return Err(Stop::Failure(Failure::Cancelled(format!(
                        "{} still runs on the server; `clickferry resume` asks again",
                        operation.id
                    ))));
                }
                Probe::Running if started.elapsed() > context.timeout => {
                    return Err(Stop::Failure(Failure::error(context.refusal(
                        "it still runs after its time",
                        format!("an end within {} s", context.timeout.as_secs()),
                        "the server is still working on it",
                        match &operation.host {
                            Some(host) => format!(
                                "on {host}: SELECT elapsed, query FROM system.processes WHERE query_id = '{}'",
                                context.query_id()
                            ),
                            None => "ps -e -o pid,pgid,lstart,args".to_owned(),
                        },
                        "wait, then `clickferry resume`; or raise `timeout` of the step",
                    ))));
                }
                Probe::Running => told_running = true,
            }
            let is_stopping = self.stop.is_cancelled();
            tokio::select! {
                () = self.ports.clock.sleep(pause) => {}
                () = self.stop.cancelled(), if !is_stopping => {}
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}
