//! A model of the outside: a world in memory that keeps what took effect, ports on it, an action that changes it, and
//! histories of runs that never were. Used by tests of resuming, by the benchmark and by the fuzz target.
#![allow(dead_code, reason = "each of them uses a part")]

pub mod action;
pub mod damage;
pub mod history;
pub mod process;
pub mod store;
pub mod world;

use clickferry::model::ids::{HostName, OperationId, StepId};
use clickferry::plan::operation::{Effect, Operation};
use clickferry::plan::plan_file::{PLAN_VERSION, Plan};
use clickferry::plan::statement::Statement;
use serde_json::{Value, json};

/// What a step of a made-up plan is like.
#[derive(Clone, Debug, Default)]
pub struct StepShape {
    /// Left out by `when`.
    pub skipped: bool,
    /// Asks before it starts.
    pub confirm: bool,
    /// Marked as the point of no return.
    pub no_return: bool,
    /// Wave and lane of each operation.
    pub operations: Vec<(u32, u8)>,
}

/// A plan of steps like these; `name` makes plans differ that are alike otherwise.
pub fn plan_of(name: &str, shapes: &[StepShape]) -> Plan {
    let mut operations = Vec::new();
    let mut steps = Vec::new();
    for (at, shape) in shapes.iter().enumerate() {
        let id = StepId(format!("step{at}"));
        steps.push(step(&id, shape));
        for (number, (wave, lane)) in shape.operations.iter().enumerate().filter(|_| !shape.skipped) {
            let host = HostName(format!("host{lane}"));
            let text = format!("DO {id}/{}", number + 1);
            let mut operation = Operation::new(&id, "model", "effect", format!("thing {number}"), Effect::Write)
                .on("target", &host)
                .in_wave(*wave)
                .statement(Statement::exact(text))
                .promises("not there", "there", "asked")
                .with_data(&json!({ "number": number, "share": 0.1 + f64::from(*lane) / 3.0 }));
            operation.id = OperationId(format!("{id}/{}", number + 1));
            operations.push(operation);
        }
    }
    let plan: Plan = serde_json::from_value(json!({
        "format_version": PLAN_VERSION,
        "tool_version": "0.0.0",
        "runbook": name,
        "summary": "",
        "runbook_digest": "",
        "runbook_text": "",
        "runbook_file": "",
        "environment": "model",
        "parameters": {},
        "hosts": [],
        "steps": steps,
        "operations": [],
        "facts": [],
        "guards": {},
        "notes": [],
        "digest": ""
    }))
    .expect("a plan");
    Plan { operations, ..plan }.sealed()
}

fn step(id: &StepId, shape: &StepShape) -> Value {
    json!({
        "id": id,
        "action": "model",
        "description": null,
        "arguments": null,
        "skipped": shape.skipped.then_some("left out"),
        "on_failure": "stop",
        "retry": null,
        "timeout_ms": null,
        "confirm": shape.confirm.then_some("Go on?"),
        "point_of_no_return": shape.no_return
    })
}

/// Numbers that look random and are the same every time.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number (splitmix64).
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % (end.max(1) as u64)).unwrap_or(0)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Whether it happens, once in `of` times.
    pub fn once_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    /// A plan of a few steps.
    pub fn shapes(&mut self) -> Vec<StepShape> {
        (0..=self.below(3))
            .map(|_| StepShape {
                skipped: self.once_in(8),
                confirm: self.once_in(5),
                no_return: self.once_in(5),
                operations: (0..self.below(5))
                    .map(|_| (u32::try_from(self.below(2)).unwrap_or(0), u8::try_from(self.below(3)).unwrap_or(0)))
                    .collect(),
            })
            .collect()
    }
}
