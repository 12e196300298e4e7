//! Reads that are asked again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::chance;
use super::class::class_of;
use crate::engine::ports::{Answer, Call, Clock, Sql, SqlError};
use crate::model::ids::HostName;
use crate::model::runbook::ErrorClass;

/// Waits between the attempts of one read.
const READ_PAUSES: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// A read that failed after this long is not repeated: it would take as long again.
const SLOW: Duration = Duration::from_secs(10);

/// Sends reading statements again after errors that pass by themselves; never a changing one.
pub struct PatientReads {
    inner: Arc<dyn Sql>,
    clock: Arc<dyn Clock>,
}

impl PatientReads {
    /// Reads through `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Sql>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, clock }
    }
}

#[async_trait]
impl Sql for PatientReads {
    async fn call(&self, host: &HostName, call: Call) -> Result<Answer, SqlError> {
        if !call.read_only {
            return self.inner.call(host, call).await;
        }
        for pause in READ_PAUSES {
            let began = self.clock.ticks();
            let answer = self.inner.call(host, call.clone()).await;
            let is_slow = self.clock.ticks().saturating_sub(began) > SLOW;
            match answer {
                Err(error) if is_passing(&error) && !is_slow => {
                    self.clock.sleep(pause.mul_f64(1.0 - chance() / 2.0)).await
                }
                other => return other,
            }
        }
        self.inner.call(host, call).await
    }
}

/// A server that is not there stays away for longer than a read waits; whoever asked knows how long to wait for it.
fn is_passing(error: &SqlError) -> bool {
    match error {
        SqlError::NotSent { .. } => false,
        SqlError::Lost { .. } => true,
        SqlError::Server { .. } => {
            matches!(class_of(error), Some(ErrorClass::Connection | ErrorClass::Overload | ErrorClass::Keeper))
        }
    }
}
