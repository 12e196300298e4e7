//! Events of a run as spans: run, step, operation; probes and repeated attempts as events of the operation.

use std::collections::BTreeMap;

use opentelemetry::trace::{Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;

use crate::engine::event::RunEvent;
use crate::model::ids::OperationId;
use crate::plan::operation::Operation;

/// The open spans of a run.
pub(super) struct Spans {
    tracer: SdkTracer,
    run: Option<Context>,
    step: Option<Context>,
    operations: BTreeMap<OperationId, Context>,
    /// Action of each step.
    actions: BTreeMap<String, String>,
}

impl Spans {
    pub(super) fn new(tracer: SdkTracer) -> Self {
        Self { tracer, run: None, step: None, operations: BTreeMap::new(), actions: BTreeMap::new() }
    }

    fn open(&self, name: String, attributes: Vec<KeyValue>, parent: Option<&Context>) -> Context {
        let span = self.tracer.span_builder(name).with_attributes(attributes);
        let nobody = Context::new();
        let parent = parent.unwrap_or(&nobody);
        parent.with_span(self.tracer.build_with_context(span, parent))
    }

    fn operation(&mut self, operation: &Operation) -> Context {
        if let Some(open) = self.operations.get(&operation.id) {
            return open.clone();
        }
        let host = operation.host.as_ref().map(ToString::to_string).unwrap_or_default();
        let attributes = vec![
            KeyValue::new("clickferry.step", operation.step.to_string()),
            KeyValue::new("clickferry.action", operation.action.clone()),
            KeyValue::new("clickferry.operation", operation.id.to_string()),
            KeyValue::new("clickferry.kind", operation.kind.clone()),
            KeyValue::new("clickferry.host", host),
            KeyValue::new("clickferry.effect", operation.effect.to_string()),
        ];
        let span = self.open(operation.kind.clone(), attributes, self.step.as_ref().or(self.run.as_ref()));
        self.operations.insert(operation.id.clone(), span.clone());
        span
    }

    /// Keeps what happened; every text of a server goes through `scrub`.
    pub(super) fn event(&mut self, event: &RunEvent<'_>, scrub: &dyn Fn(&str) -> String) {
        match *event {
            RunEvent::Started { run, plan, resumed } => {
                let action = |step: &crate::plan::plan_file::PlannedStep| (step.id.to_string(), step.action.clone());
                self.actions = plan.steps.iter().map(action).collect();
                let attributes = vec![
                    KeyValue::new("clickferry.run", run.to_string()),
                    KeyValue::new("clickferry.runbook", plan.runbook.clone()),
                    KeyValue::new("clickferry.environment", plan.environment.clone()),
                    KeyValue::new("clickferry.plan", plan.digest.clone()),
                    KeyValue::new("clickferry.resumed", resumed),
                ];
                self.run = Some(self.open(format!("run {}", plan.runbook), attributes, None));
            }
            RunEvent::StepStarted { step, .. } => {
                self.end_step();
                let action = self.actions.get(step.as_str()).cloned().unwrap_or_default();
                let attributes = vec![
                    KeyValue::new("clickferry.step", step.to_string()),
                    KeyValue::new("clickferry.action", action),
                ];
                self.step = Some(self.open(format!("step {step}"), attributes, self.run.as_ref()));
            }
            RunEvent::StepPassed { step, why } => {
                let about = vec![KeyValue::new("clickferry.step", step.to_string()), KeyValue::new("why", scrub(why))];
                self.on_run("step passed", about);
            }
            RunEvent::Notice { text } => self.on_run("notice", vec![KeyValue::new("text", scrub(text))]),
            RunEvent::OperationStarted { operation, attempt } => {
                let span = self.operation(operation);
                span.span().set_attribute(KeyValue::new("clickferry.attempt", i64::from(attempt)));
                span.span().add_event("attempt", vec![KeyValue::new("attempt", i64::from(attempt))]);
            }
            RunEvent::Probing { operation, why } => {
                self.operation(operation).span().add_event("probing", vec![KeyValue::new("why", scrub(why))]);
            }
            RunEvent::Probed { operation, answer } => {
                let span = self.operation(operation);
                span.span().add_event("probed", vec![KeyValue::new("answer", answer.to_owned())]);
                if answer == "unknown" {
                    self.end_operation(operation, "unknown", Status::error("its outcome is unknown"));
                }
            }
            RunEvent::OperationDone { operation, .. } => {
                // A check that was not sent twice has no attempt to tell of; its span may begin here.
                self.operation(operation);
                self.end_operation(operation, "done", Status::Ok);
            }
            RunEvent::OperationFailed { operation, refusal, again } => {
                let text = scrub(&format!("{}: {}", refusal.what, refusal.found));
                let span = self.operation(operation);
                if again {
                    span.span().add_event("retry", vec![KeyValue::new("why", text)]);
                } else {
                    self.end_operation(operation, "failed", Status::error(text.clone()));
                    self.fail_step(text);
                }
            }
            RunEvent::Stopped { reason } => {
                let reason = scrub(reason);
                self.fail_step(reason.clone());
                if let Some(run) = &self.run {
                    run.span().set_attribute(KeyValue::new("clickferry.verdict", "stopped"));
                    run.span().set_status(Status::error(reason));
                }
            }
            RunEvent::Finished { differs } => {
                if let Some(run) = &self.run {
                    let verdict = if differs { "differs" } else { "done" };
                    run.span().set_attribute(KeyValue::new("clickferry.verdict", verdict));
                    run.span().set_status(if differs { Status::error("a check did not hold") } else { Status::Ok });
                }
            }
            RunEvent::Reproved { .. } | RunEvent::Progress { .. } => {}
        }
    }

    fn on_run(&self, name: &'static str, about: Vec<KeyValue>) {
        if let Some(run) = &self.run {
            run.span().add_event(name, about);
        }
    }

    fn end_operation(&mut self, operation: &Operation, outcome: &'static str, status: Status) {
        if let Some(span) = self.operations.remove(&operation.id) {
            span.span().set_attribute(KeyValue::new("clickferry.outcome", outcome));
            span.span().set_status(status);
            span.span().end();
        }
    }

    fn fail_step(&self, reason: String) {
        if let Some(step) = &self.step {
            step.span().set_status(Status::error(reason));
        }
    }

    fn end_step(&mut self) {
        for (_, left) in std::mem::take(&mut self.operations) {
            left.span().set_attribute(KeyValue::new("clickferry.outcome", "unknown"));
            left.span().set_status(Status::error("this process stopped before its end"));
            left.span().end();
        }
        if let Some(step) = self.step.take() {
            step.span().end();
        }
    }

    /// Ends everything that is open.
    pub(super) fn end(&mut self) {
        self.end_step();
        if let Some(run) = self.run.take() {
            run.span().end();
        }
    }
}
