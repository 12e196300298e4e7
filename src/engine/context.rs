//! What actions are given: for observing, for planning, for running.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::action::{RunError, RunErrorKind};
use super::journal::JournalWriter;
use super::outcomes::Outcomes;
use super::ports::{Answer, Call, Ports, SqlError};
use crate::diag::Refusal;
use crate::model::environment::Environment;
use crate::model::ids::{HostName, OperationId, RunId, StepId};
use crate::model::observed::{TargetWorld, World};
use crate::model::runbook::ErrorClass;
use crate::model::secret::SecretRef;
use crate::plan::conversion::PlannedConversion;
use crate::plan::fact::Fact;
use crate::plan::operation::Operation;
use crate::plan::plan_file::Plan;
use crate::plan::sql::literal;
use crate::plan::statement::fill_text;

/// For reading what an action needs beyond the common observation.
pub struct ObserveContext<'a> {
    /// The action's arguments, templates filled in.
    pub arguments: &'a Value,
    /// The world as it is now.
    pub world: &'a World,
    /// The environment.
    pub environment: &'a Environment,
    /// The outside.
    pub ports: &'a Ports,
}

impl ObserveContext<'_> {
    /// The arguments as the action's own type; they were checked against its schema before.
    ///
    /// # Errors
    /// What does not fit, for a mistake the schema let pass.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, crate::diag::Failure> {
        T::deserialize(self.arguments).map_err(|error| {
            crate::diag::Failure::simple(format!("the arguments do not fit the action: {error}"), "correct the step")
        })
    }
}

/// For making operations.
pub struct PlanContext<'a> {
    /// Id of the step.
    pub step: &'a StepId,
    /// The action's arguments, templates filled in.
    pub arguments: &'a Value,
    /// What [`super::action::Action::observe`] returned.
    pub observed: &'a Value,
    /// The world as it was when it was looked at.
    pub seen: &'a World,
    /// The world as the steps before will leave it; the action changes it to what its operations will do.
    pub world: &'a mut World,
    /// The environment.
    pub environment: &'a Environment,
    /// Facts that must still hold at apply.
    pub facts: &'a mut Vec<Fact>,
    /// Things a reviewer should know: what is left out and why.
    pub notes: &'a mut Vec<String>,
    /// What becomes of each object that the step converts.
    pub conversions: &'a mut Vec<PlannedConversion>,
    /// What earlier steps promise to later ones (a backup its path and tables), by step.
    pub promises: &'a mut BTreeMap<StepId, Value>,
}

impl PlanContext<'_> {
    /// The arguments as the action's own type; they were checked against its schema before.
    ///
    /// # Errors
    /// What does not fit, for a mistake the schema let pass.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, Vec<Refusal>> {
        T::deserialize(self.arguments).map_err(|error| {
            vec![self.refuse(format!("the arguments do not fit: {error}"), "", "", "correct the step")]
        })
    }

    /// A refusal of this step without a statement that shows it.
    #[must_use]
    pub fn refuse(
        &self,
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        action: impl Into<String>,
    ) -> Refusal {
        Refusal {
            what: format!("step `{}`: {}", self.step, what.into()),
            expected: expected.into(),
            found: found.into(),
            evidence: String::new(),
            action: action.into(),
        }
    }

    /// The world of a target role.
    ///
    /// # Errors
    /// A refusal where the role was not observed, which validation excludes.
    pub fn target(&self, role: &str) -> Result<&TargetWorld, Vec<Refusal>> {
        self.world.targets.get(role).ok_or_else(|| {
            vec![self.refuse(format!("the target `{role}` was not observed"), "", "", "bind it in the environment")]
        })
    }
}

/// A run as operations see it.
#[derive(Clone, Debug)]
pub struct RunInfo {
    /// Its id.
    pub id: RunId,
    /// When it began; `run.started` in templates.
    pub started: Timestamp,
}

/// Shows how far an operation is.
pub trait Progress: Send + Sync {
    /// `done` of `total` units (rows, bytes, files), with a word on what is going on.
    fn progress(&self, operation: &OperationId, done: u64, total: Option<u64>, message: &str);
}

/// For running, probing and proving one operation.
pub struct RunContext<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The operation.
    pub operation: &'a Operation,
    /// The run.
    pub run: &'a RunInfo,
    /// The environment.
    pub environment: &'a Environment,
    /// The outside.
    pub ports: &'a Ports,
    /// Number of this attempt, from 1. For a probe: the attempt whose outcome is asked for.
    pub attempt: u32,
    /// What `prepare` returned for this attempt; null in `prepare` itself.
    pub intent: &'a Value,
    /// When the intent of this attempt was written; the run's start in `prepare` itself.
    pub intended_at: Timestamp,
    /// What `prove` returned for the operations that are done.
    pub outcomes: &'a Outcomes,
    /// Shows how far it is.
    pub progress: &'a dyn Progress,
    /// Cancelled when the user asks to stop; long waits end with an error of kind `AskProbe`.
    pub cancel: &'a CancellationToken,
    /// Longest time the operation may take.
    pub timeout: Duration,
    /// The journal with the locks of the run; none for checks outside of a run, which change nothing.
    pub journal: Option<&'a JournalWriter>,
}

impl RunContext<'_> {
    /// The operation's data as the action's own type.
    ///
    /// # Errors
    /// A plan whose data does not fit the action of this version.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, RunError> {
        self.operation.data.read().map_err(|error| {
            self.fail(
                RunErrorKind::NotSent,
                "the plan does not fit this version of clickferry",
                "",
                error.to_string(),
                "",
                "plan again with this version",
            )
        })
    }

    /// The intent's data as the action's own type; `None` where there is none or it does not fit.
    #[must_use]
    pub fn intent_data<T: DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(self.intent).ok()
    }

    /// What the operations of a step proved, in the order of the plan.
    #[must_use]
    pub fn outcomes_of(&self, step: &str) -> Vec<Arc<Value>> {
        self.plan
            .operations
            .iter()
            .filter(|operation| operation.step.as_str() == step)
            .filter_map(|operation| self.outcomes.get(&operation.id))
            .collect()
    }

    /// Id for the server's query log and for `system.backups`: the same for the same attempt, so that it can be
    /// found again; another one for every attempt.
    #[must_use]
    pub fn query_id(&self) -> String {
        format!("clickferry-{}-{}-{}", self.run.id, self.operation.id.as_str().replace('/', "-"), self.attempt)
    }

    /// The host of the operation.
    ///
    /// # Errors
    /// A plan without one, which planning excludes.
    pub fn host(&self) -> Result<&HostName, RunError> {
        self.operation
            .host
            .as_ref()
            .ok_or_else(|| self.fail(RunErrorKind::NotSent, "the operation has no host", "", "", "", "plan again"))
    }

    /// A failure of this operation.
    #[must_use]
    pub fn fail(
        &self,
        kind: RunErrorKind,
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        evidence: impl Into<String>,
        action: impl Into<String>,
    ) -> RunError {
        let class = Some(ErrorClass::Other);
        RunError { kind, class, refusal: self.refusal(what, expected, found, evidence, action) }
    }

    /// A refusal that names this operation.
    #[must_use]
    pub fn refusal(
        &self,
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        evidence: impl Into<String>,
        action: impl Into<String>,
    ) -> Refusal {
        Refusal {
            what: format!("{} {} ({}): {}", self.operation.id, self.operation.kind, self.operation.object, what.into()),
            expected: expected.into(),
            found: found.into(),
            evidence: evidence.into(),
            action: action.into(),
        }
    }

    /// Asks a host something. Only reads.
    ///
    /// # Errors
    /// See [`SqlError`].
    pub async fn read(&self, host: &HostName, sql: impl Into<String> + Send) -> Result<Answer, SqlError> {
        self.ports.sql.call(host, Call::read(sql)).await
    }

    /// Whether every lock is still held; asked right before anything is changed. The record of the intent was written
    /// under the locks, and a process may be stopped for a minute between that and the statement.
    ///
    /// # Errors
    /// The lock that was lost; the outcome is found out by whoever carries on.
    pub fn check_locks(&self) -> Result<(), RunError> {
        match self.journal.and_then(JournalWriter::lost) {
            None => Ok(()),
            Some(lost) => Err(self.fail(
                RunErrorKind::AskProbe,
                lost.to_string(),
                "every lock is held when something is changed",
                "a lock that was lost meanwhile",
                "",
                "`clickferry resume` takes the locks again and asks what happened",
            )),
        }
    }

    /// Sends the operation's statement `index` to its host, once, and waits for the answer within the operation's
    /// time. The last statement is sent under [`Self::query_id`], those before it with `-1`, `-2`, ... behind it.
    ///
    /// # Errors
    /// The kind tells whether anything was sent.
    pub async fn execute(&self, index: usize) -> Result<Answer, RunError> {
        let answered = self.send(index).await?;
        answered.map_err(|error| {
            RunError::from_sql(
                format!("{} on {}: {}", self.operation.kind, error.host(), self.operation.object),
                &error,
            )
        })
    }

    /// As [`Self::execute`], with the server's error as it came, for actions that know what a code means for them.
    ///
    /// # Errors
    /// What kept the statement from being sent at all.
    pub async fn send(&self, index: usize) -> Result<Result<Answer, SqlError>, RunError> {
        let statement = self.operation.statements.get(index).ok_or_else(|| {
            self.fail(RunErrorKind::NotSent, format!("the plan has no statement {index}"), "", "", "", "plan again")
        })?;
        let text = self.filled(index).await?;
        let is_last = index + 1 == self.operation.statements.len();
        let query_id = if is_last { self.query_id() } else { format!("{}-{}", self.query_id(), index + 1) };
        let mut call = Call::change(text, query_id, self.timeout);
        call.settings.clone_from(&statement.settings);
        if let Some(database) = &statement.database {
            call.database.clone_from(database);
        }
        let host = self.host()?;
        self.check_locks()?;
        tokio::select! {
            biased;
            answer = self.ports.sql.call(host, call) => Ok(answer),
            // The server carries on with what it has received.
            () = self.cancel.cancelled() => Err(self.fail(
                RunErrorKind::AskProbe,
                "nobody waits for its answer any more, as asked",
                "",
                "the server goes on with the statement",
                "",
                "`clickferry resume` asks how it ended",
            )),
        }
    }

    /// The text of statement `index` with its late values, secrets included.
    ///
    /// # Errors
    /// A secret that cannot be read, or a step that has not written what is asked for.
    pub async fn filled(&self, index: usize) -> Result<SecretString, RunError> {
        let Some(statement) = self.operation.statements.get(index) else {
            return Err(self.fail(
                RunErrorKind::NotSent,
                format!("the plan has no statement {index}"),
                "",
                "",
                "",
                "plan again",
            ));
        };
        let mut values = BTreeMap::new();
        for token in &statement.late {
            values.insert(token.clone(), self.late_value(token).await?);
        }
        statement
            .fill(|token| values.get(token).map(|value| value.expose_secret().to_owned()))
            .map(SecretString::from)
            .map_err(|token| self.unknown_token(&token))
    }

    /// Fills the late values that are no secrets into a text that is not SQL (a path).
    ///
    /// # Errors
    /// A step that has not written what is asked for.
    pub fn fill_path(&self, text: &str) -> Result<String, RunError> {
        fill_text(text, &mut |token| self.plain_value(token)).map_err(|token| self.unknown_token(&token))
    }

    fn unknown_token(&self, token: &str) -> RunError {
        self.fail(
            RunErrorKind::NotSent,
            format!("the value `${{{token}}}` is not known"),
            "an earlier step has written it",
            "it has not",
            "",
            "run the whole runbook, or plan again",
        )
    }

    /// Secrets become literals with their quotes; everything else is escaped to stand within a literal.
    async fn late_value(&self, token: &str) -> Result<SecretString, RunError> {
        if let Some(name) = token.strip_prefix("secret ") {
            let reference = self.secret_reference(name).ok_or_else(|| self.unknown_token(token))?;
            let secret = self.ports.secrets.resolve(&reference).await.map_err(|error| {
                self.fail(
                    RunErrorKind::NotSent,
                    error.to_string(),
                    "",
                    "",
                    "",
                    "make the secret readable for clickferry",
                )
            })?;
            return Ok(SecretString::from(literal(secret.expose_secret())));
        }
        let value = self.plain_value(token).ok_or_else(|| self.unknown_token(token))?;
        let quoted = literal(&value);
        Ok(SecretString::from(quoted[1..quoted.len() - 1].to_owned()))
    }

    fn secret_reference(&self, name: &str) -> Option<SecretRef> {
        let (role, field) = name.strip_prefix("storage.")?.rsplit_once('.')?;
        let credentials = self.environment.storage.get(role)?.s3().credentials.as_ref()?;
        match field {
            "access_key" => Some(credentials.access_key.clone()),
            "secret_key" => Some(credentials.secret_key.clone()),
            _ => None,
        }
    }

    fn plain_value(&self, token: &str) -> Option<String> {
        if token == "run.id" {
            return Some(self.run.id.0.clone());
        }
        // The id as it can stand in a name.
        if token == "run.label" {
            return Some(self.run.id.0.replace('-', "_"));
        }
        // Id of this attempt for the server: what `RunContext::query_id` says.
        if token == "operation.id" {
            return Some(self.query_id());
        }
        if token == "attempt" {
            return Some(if self.attempt <= 1 { String::new() } else { format!(".{}", self.attempt) });
        }
        if let Some(format) = token.strip_prefix("run.started ") {
            let started = self.run.started.to_zoned(jiff::tz::TimeZone::UTC);
            return jiff::fmt::strtime::format(format, &started).ok();
        }
        // `step <id> path <shard>`: where that step's backup of that shard really lies.
        let (step, shard) = token.strip_prefix("step ")?.split_once(" path ")?;
        let outcome = self
            .outcomes_of(step)
            .into_iter()
            .find(|outcome| outcome.get("shard").and_then(Value::as_str) == Some(shard))?;
        outcome.get("path").and_then(Value::as_str).map(str::to_owned)
    }
}
