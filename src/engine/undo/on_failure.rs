//! Taking a run back because a step failed that says so (`on_failure: undo`).

use crate::diag::{Failure, Refusal};
use crate::engine::event::RunEvent;
use crate::engine::guard::check_start;
use crate::engine::locks::targets_of;
use crate::engine::run::Runner;
use crate::model::ids::{RunId, StepId};
use crate::plan::plan_file::Plan;

impl Runner<'_> {
    /// The end of a run, after it was taken back where the step that failed says so.
    pub(in crate::engine) async fn ended(
        &self,
        plan: &Plan,
        id: &RunId,
        result: Result<(), Failure>,
        take_back: Option<&StepId>,
    ) -> Result<(), Failure> {
        let (Err(failure), Some(step)) = (&result, take_back) else { return result };
        let failure = failure.clone();
        self.notice(&format!("step {step} failed; run {id} is taken back, as its `on_failure: undo` says"));
        // An undo is a run of its own, and its end comes here, too.
        match Box::pin(self.take_back(plan, id, step)).await {
            Ok(Some(by)) => {
                let failure = Box::new(advised(failure, id));
                Err(Failure::TakenBack { run: id.0.clone(), by: by.0, failure })
            }
            Ok(None) => {
                self.notice(&format!("nothing that run {id} did had taken effect: there is nothing to take back"));
                Err(failure)
            }
            Err(why) => Err(both(failure, id, why)),
        }
    }

    /// Consent to the plan covers this: the plan says so, and only what the run itself made is taken away. Everything
    /// else that an undo asks is asked here, too.
    async fn take_back(&self, plan: &Plan, id: &RunId, step: &StepId) -> Result<Option<RunId>, Failure> {
        let reserved = self.reserve_targets(&targets_of(plan)).await?;
        let agreed = async {
            let undo = self.undo_plan(id, None).await?;
            for note in check_start(&undo, self.ports).await? {
                self.notice(&note);
            }
            Ok(undo)
        };
        let undo = match agreed.await {
            Ok(undo) if !undo.operations.is_empty() => undo,
            other => {
                reserved.cancel().await;
                return other.map(|_| None);
            }
        };
        let digest: String = plan.digest.chars().take(12).collect();
        let consent = format!("on_failure of step {step}, in the plan {digest} that was consented to");
        self.begin_undo(&undo, &consent, reserved).await.map(Some)
    }

    fn notice(&self, text: &str) {
        self.observer.event(&RunEvent::Notice { text });
    }
}

/// Why the step failed, and why its run is not taken back.
fn both(failure: Failure, id: &RunId, why: Failure) -> Failure {
    let head = Refusal {
        what: format!("run {id} is not taken back, or only in part"),
        expected: "a run that is taken back when one of its steps fails".to_owned(),
        found: match &why {
            Failure::Cancelled(reason) => reason.clone(),
            _ => "what follows stands in the way".to_owned(),
        },
        evidence: format!("clickferry status {id}"),
        action: format!(
            "clear what stands in the way, then `clickferry undo {id}`; where an undo has begun, `clickferry resume` \
             carries on with it"
        ),
    };
    let (is_unknown, mut more) = match why {
        Failure::Unknown(found) => (true, found),
        Failure::Error(found) | Failure::Refused(found) | Failure::Differs(found) => (false, found),
        Failure::Input(_) | Failure::Cancelled(_) | Failure::TakenBack { .. } => (false, Vec::new()),
    };
    more.insert(0, head);
    match failure {
        Failure::Error(all) | Failure::Differs(all) if is_unknown => Failure::Unknown(joined(all, more)),
        Failure::Error(all) => Failure::Error(joined(all, more)),
        Failure::Differs(all) => Failure::Differs(joined(all, more)),
        other => other,
    }
}

/// A run that was taken back cannot be carried on with, whatever the failure advises.
fn advised(failure: Failure, id: &RunId) -> Failure {
    let advise = |mut all: Vec<Refusal>| {
        for refusal in &mut all {
            refusal.action = format!("run {id} was taken back: find the cause, then plan and apply anew");
        }
        all
    };
    match failure {
        Failure::Error(all) => Failure::Error(advise(all)),
        Failure::Differs(all) => Failure::Differs(advise(all)),
        other => other,
    }
}

fn joined(mut all: Vec<Refusal>, more: Vec<Refusal>) -> Vec<Refusal> {
    all.extend(more);
    all
}
