//! The maintenance window is asked again right before the first operation: whoever reads a plan for an hour, or watches
//! that nobody writes, may come to its end. With a clock that moves as the test says.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use clickferry::diag::Failure;
use clickferry::engine::guard::{check_demands, check_start};
use clickferry::engine::ports::{Answer, Call, Clock, Ports, Sql, SqlError};
use clickferry::model::ids::HostName;
use clickferry::plan::operation::Effect;
use clickferry::plan::plan_file::Plan;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::model::process::{End, ports, process};
use crate::support::model::world::World;
use crate::support::model::{StepShape, plan_of};

/// A clock that stands still but for sleep, and a server on which nobody writes.
struct Quiet {
    now: Mutex<Timestamp>,
    began: Timestamp,
    asked: Mutex<usize>,
}

impl Quiet {
    fn at(time: &str) -> Arc<Self> {
        let began = time.parse().unwrap();
        Arc::new(Self { now: Mutex::new(began), began, asked: Mutex::default() })
    }

    fn is(&self, time: &str) {
        *self.now.lock().unwrap() = time.parse().unwrap();
    }

    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

#[async_trait]
impl Clock for Quiet {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    fn ticks(&self) -> Duration {
        self.now().duration_since(self.began).unsigned_abs()
    }

    async fn sleep(&self, duration: Duration) {
        *self.now.lock().unwrap() += duration;
    }
}

#[async_trait]
impl Sql for Quiet {
    async fn call(&self, _: &HostName, call: Call) -> Result<Answer, SqlError> {
        assert!(call.read_only, "a guard only looks");
        *self.asked.lock().unwrap() += 1;
        Ok(Answer::default())
    }
}

/// A plan with one operation that changes something, in a window that ends at 05:00.
fn plan(more: &Value) -> Plan {
    let mut plan = plan_of("window", &[StepShape { operations: vec![(0, 0)], ..StepShape::default() }]);
    let mut guards = json!({ "window": { "from": "01:00", "to": "05:00", "timezone": "UTC" } });
    guards.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    plan.guards = serde_json::from_value(guards).unwrap();
    let host = json!({ "target": "target", "name": "host0", "url": "", "shard": "-", "version": "", "identity": "" });
    plan.hosts = vec![serde_json::from_value(host).unwrap()];
    plan.sealed()
}

fn quiet_ports(world: &Arc<World>, quiet: &Arc<Quiet>) -> Ports {
    Ports { clock: Arc::clone(quiet) as _, sql: Arc::clone(quiet) as _, ..ports(world) }
}

/// What is refused at the start, after consent was asked for at `asked` and given at `given`.
async fn started(plan: &Plan, quiet: &Arc<Quiet>, given: &str) -> Result<(), String> {
    let world = World::new(plan.clone());
    let ports = quiet_ports(&world, quiet);
    check_demands(plan, Path::new("."), &[], &ports).await.expect("the window is open when consent is asked for");
    quiet.is(given);
    let checked = check_start(plan, &ports).await;
    assert!(world.records().is_empty() && world.inner().effects.is_empty());
    match checked {
        Ok(_) => Ok(()),
        Err(Failure::Refused(problems)) => Err(problems.iter().map(ToString::to_string).collect()),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn consent_that_came_after_the_end_of_the_window_begins_nothing() {
    let plan = plan(&json!({}));
    let late = started(&plan, &Quiet::at("2026-11-21T04:10:00Z"), "2026-11-21T05:00:00Z").await;
    insta::assert_snapshot!(late.unwrap_err(), @"
    the maintenance window is closed
      expected  an apply within every day 01:00 to 05:00 UTC
      found     it is Sat 2026-11-21 05:00 UTC
      see it    TZ=UTC date; `guards.window` of the runbook
      do this   it opens Sun 2026-11-22 01:00 UTC; nothing was changed
    ");
    // A plan that only looks may come late.
    let mut reading = plan.clone();
    reading.operations[0].effect = Effect::Read;
    assert_eq!(started(&reading, &Quiet::at("2026-11-21T04:10:00Z"), "2026-11-21T05:00:00Z").await, Ok(()));
}

#[tokio::test]
async fn consent_that_came_within_the_window_begins() {
    let plan = plan(&json!({}));
    assert_eq!(started(&plan, &Quiet::at("2026-11-21T04:10:00Z"), "2026-11-21T04:59:59Z").await, Ok(()));
    let world = World::new(plan);
    assert!(matches!(process(&world, None).await, End::Done));
    assert_eq!(world.inner().effects.len(), 1);
}

#[tokio::test]
async fn consent_that_leaves_too_little_of_the_window_for_the_predicted_time_begins_nothing() {
    let mut plan = plan(&json!({}));
    // Ten minutes at 50 MiB/s.
    plan.operations[0].estimate_bytes = Some(600 * (50 << 20));
    assert_eq!(started(&plan, &Quiet::at("2026-11-21T04:10:00Z"), "2026-11-21T04:50:00Z").await, Ok(()));
    let late = started(&plan, &Quiet::at("2026-11-21T04:10:00Z"), "2026-11-21T04:50:01Z").await;
    insta::assert_snapshot!(late.unwrap_err(), @"
    the predicted time passes the end of the maintenance window
      expected  an end before Sat 2026-11-21 05:00 UTC, 9 min 59 s from now
      found     it is Sat 2026-11-21 04:50 UTC; predicted: 10 min 0 s for 31457280000 bytes of step `step0` on host0, at 50 MiB/s per host (`guards.window.rate`)
      see it    TZ=UTC date; `guards.window` of the runbook
      do this   begin earlier in the window or take a longer one; where the servers are known to be faster, correct `guards.window.rate` in the runbook
    ");
}

#[tokio::test]
async fn a_watch_that_goes_on_past_the_end_of_the_window_begins_nothing() {
    let plan = plan(&json!({ "write_freeze": { "on": ["target"], "for": "30s" } }));
    let quiet = Quiet::at("2026-11-21T04:10:00Z");
    assert_eq!(started(&plan, &quiet, "2026-11-21T04:59:29Z").await, Ok(()));
    assert!(quiet.asked() > 30, "it was not watched: {}", quiet.asked());
    let quiet = Quiet::at("2026-11-21T04:10:00Z");
    let late = started(&plan, &quiet, "2026-11-21T04:59:30Z").await;
    assert!(quiet.asked() > 30, "it was not watched: {}", quiet.asked());
    insta::assert_snapshot!(late.unwrap_err(), @"
    the maintenance window is closed
      expected  an apply within every day 01:00 to 05:00 UTC
      found     it is Sat 2026-11-21 05:00 UTC
      see it    TZ=UTC date; `guards.window` of the runbook
      do this   it opens Sun 2026-11-22 01:00 UTC; nothing was changed
    ");
}
