//! A run is begun and carried on only on the servers that its plan was made for. The addresses come from the environment
//! of this very command, and a name may have been given to another server meanwhile: its probes would answer for servers
//! that were never asked to do anything, and everything would be sent a second time, to the wrong place.

use futures_util::StreamExt;
use futures_util::stream;

use super::event::RunEvent;
use super::identity::{IDENTITY_QUERY, ask_identity};
use super::run::Runner;
use crate::diag::{Failure, Refusal};
use crate::plan::plan_file::Plan;

/// Servers asked side by side.
const AT_ONCE: usize = 16;

impl Runner<'_> {
    /// Compares every host of a plan with the server behind its address. One that does not answer cannot be compared;
    /// it cannot be sent anything, either, and gates that destroy ask again.
    ///
    /// # Errors
    /// [`Failure::Refused`] with every host behind which there is another server.
    pub(super) async fn same_hosts(&self, plan: &Plan) -> Result<(), Failure> {
        let known = plan.hosts.iter().filter(|host| !host.identity.is_empty());
        let answers: Vec<_> = stream::iter(known)
            .map(|host| async move { (host, ask_identity(&*self.ports.sql, &host.name).await) })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut others: Vec<Refusal> = Vec::new();
        for (host, answer) in answers {
            match answer {
                Ok(found) if found == host.identity => {}
                Ok(found) => others.push(Refusal {
                    what: format!("another server answers for {} than at planning; nothing was changed", host.name),
                    expected: host.identity.clone(),
                    found,
                    evidence: format!("on {}: {IDENTITY_QUERY}", host.name),
                    action: "name the environment of this run with `-e`, or find out what was moved; a run is carried on on its own servers only".to_owned(),
                }),
                Err(error) => self.observer.event(&RunEvent::Notice {
                    text: &format!("it cannot be asked whether {} is still the server of the plan: {error}", host.name),
                }),
            }
        }
        // One server under two roles is told once.
        others.dedup_by(|one, other| one.what == other.what);
        if others.is_empty() { Ok(()) } else { Err(Failure::Refused(others)) }
    }
}
