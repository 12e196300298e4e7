//! One process of the engine on the model world: begins or resumes with the real runner, and may be killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use clickferry::diag::Failure;
use clickferry::engine::cancel::Cancelled;
use clickferry::engine::event::{Observer, Person, RunEvent};
use clickferry::engine::ports::{Command, CommandLife, CommandOutput, Commands, Ports, SecretError, Secrets};
use clickferry::engine::run::Runner;
use clickferry::model::environment::Environment;
use clickferry::model::ids::StepId;
use clickferry::model::secret::SecretRef;
use secrecy::SecretString;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::action::CATALOGUE;
use super::world::{Disturbance, World};

/// Nobody is asked for secrets or commands, and nobody looks.
pub struct Nobody;

#[async_trait]
impl Secrets for Nobody {
    async fn resolve(&self, _reference: &SecretRef) -> Result<SecretString, SecretError> {
        Err(SecretError { source_name: "model".to_owned(), reason: "there are none".to_owned() })
    }

    fn scrub(&self, text: &str) -> String {
        text.to_owned()
    }
}

#[async_trait]
impl Commands for Nobody {
    async fn run(&self, _command: Command) -> Result<CommandOutput, String> {
        Err("there are none".to_owned())
    }

    fn mark(&self, _name: &str) -> Result<PathBuf, String> {
        Err("there are none".to_owned())
    }

    fn life(&self, _mark: &Path) -> CommandLife {
        CommandLife::Ended
    }
}

impl Observer for Nobody {
    fn event(&self, _event: &RunEvent<'_>) {}
}

#[async_trait]
impl Person for Nobody {
    async fn no_return(&self, _step: &StepId) -> bool {
        true
    }

    async fn confirm(&self, _question: &str) -> bool {
        true
    }
}

/// How a process ended.
#[derive(Debug)]
pub enum End {
    /// It was killed.
    Killed,
    /// It came to the end.
    Done,
    /// It stopped with a failure.
    Failed(Failure),
}

/// The ports of the model world.
pub fn ports(world: &Arc<World>) -> Ports {
    Ports {
        sql: Arc::clone(world) as _,
        objects: BTreeMap::new(),
        keepers: BTreeMap::new(),
        secrets: Arc::new(Nobody),
        commands: Arc::new(Nobody),
        state: Arc::clone(world) as _,
        clock: Arc::clone(world) as _,
    }
}

/// An environment without anything.
pub fn environment() -> Environment {
    let text = json!({
        "apiVersion": "clickferry/v1", "kind": "Environment", "metadata": { "name": "model" }, "targets": {}
    });
    serde_json::from_value(text).expect("an environment")
}

/// Begins the run of the world's plan, or resumes the run that is there.
pub async fn process(world: &Arc<World>, disturbed: Option<(u64, Disturbance)>) -> End {
    process_told_to(world, disturbed, &Nobody).await
}

/// The same, and tells an observer.
pub async fn process_told_to(
    world: &Arc<World>,
    disturbed: Option<(u64, Disturbance)>,
    observer: &dyn Observer,
) -> End {
    world.wake(disturbed);
    let (ports, environment) = (ports(world), environment());
    let has_begun = !world.records().is_empty();
    let stop = world.inner().stop.clone();
    let runner = Runner {
        catalogue: CATALOGUE,
        environment: &environment,
        environment_text: "",
        ports: &ports,
        observer,
        person: &Nobody,
        stop,
        detach: CancellationToken::new(),
        owner: "model".to_owned(),
    };
    let work = async {
        if has_begun {
            let run = world.inner().runs.last().cloned().unwrap_or_default();
            return runner.resume(&run, clickferry::engine::reprove::Redo::Ask).await;
        }
        let reserved = runner.reserve().await?;
        runner.begin(&world.plan, "model", reserved).await.map(|_| ())
    };
    tokio::select! {
        biased;
        () = world.killed.notified() => End::Killed,
        ended = work => match ended {
            Ok(()) => End::Done,
            Err(failure) => End::Failed(failure),
        },
    }
}

/// `cancel`, by a process that is not disturbed.
pub async fn cancel(world: &Arc<World>) -> Result<Cancelled, Failure> {
    world.wake(None);
    let (ports, environment) = (ports(world), environment());
    let run = world.inner().runs.last().cloned().unwrap_or_default();
    let runner = Runner {
        catalogue: CATALOGUE,
        environment: &environment,
        environment_text: "",
        ports: &ports,
        observer: &Nobody,
        person: &Nobody,
        stop: CancellationToken::new(),
        detach: CancellationToken::new(),
        owner: "model".to_owned(),
    };
    runner.cancel(&run, false, "").await
}
