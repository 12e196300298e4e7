//! Time as a port, so that plans and tests do not depend on the hour, and waits not on a clock that is set back.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Tells the time and waits.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now, as the machine's clock says; it may be set back.
    fn now(&self) -> Timestamp;

    /// Time since some moment of this process, for measuring how long something takes; never goes back.
    fn ticks(&self) -> Duration;

    /// Waits.
    async fn sleep(&self, duration: Duration);
}
