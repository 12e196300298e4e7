//! Keeps the processes of a laboratory and carries out requests on them.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::child::Service;
use super::report::report_from_record;
use crate::control::{Request, Response};
use crate::error::LabError;
use crate::layout::Layout;
use crate::options::Engine;
use crate::process::ProcessId;
use crate::s3::S3Endpoint;
use crate::state::LabState;
use crate::status::StatusReport;

/// How long one process may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Place of Keeper among the services; the nodes follow.
const KEEPER_INDEX: usize = 0;

/// The processes and what is being waited for.
pub struct Manager {
    layout: Layout,
    state: LabState,
    /// Keeper, then the nodes in the order of the record.
    services: Vec<Service>,
    s3: S3Endpoint,
    waits: Vec<Wait>,
    /// Nodes that are started when Keeper serves.
    queued: Vec<usize>,
}

/// Something that was begun and is not reached yet.
struct Wait {
    index: usize,
    goal: Goal,
    deadline: Instant,
    /// Who asked; nobody at the start of the laboratory, where a failure ends it.
    reply: Option<Sender<Response>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    Ready,
    Gone,
}

impl Manager {
    /// A manager of processes that do not run yet.
    pub fn new(layout: Layout, state: LabState, services: Vec<Service>, s3: S3Endpoint) -> Manager {
        Manager { layout, state, services, s3, waits: Vec::new(), queued: Vec::new() }
    }

    /// Starts every process, at once or as soon as Keeper serves; `look` tells when they serve.
    pub fn start_all(&mut self, patience: Duration) -> Result<(), LabError> {
        let deadline = Instant::now() + patience;
        self.begin(KEEPER_INDEX, deadline)?;
        let nodes = KEEPER_INDEX + 1..self.services.len();
        match self.state.engine {
            Engine::Embedded => nodes.into_iter().try_for_each(|node| self.begin(node, deadline)),
            // ClickHouse 18.16 dies of a null pointer when it finds no Keeper at its start.
            Engine::Server => {
                self.queued = nodes.collect();
                Ok(())
            }
        }
    }

    fn begin(&mut self, index: usize, deadline: Instant) -> Result<(), LabError> {
        self.spawn(index)?;
        let goal = Goal::Ready;
        self.waits.push(Wait { index, goal, deadline, reply: None });
        Ok(())
    }

    /// Whether everything of the start is reached.
    pub fn is_started(&self) -> bool {
        self.queued.is_empty() && self.waits.iter().all(|wait| wait.reply.is_some())
    }

    /// How long to sleep between two looks.
    pub fn pace(&self) -> Duration {
        Duration::from_millis(if self.waits.is_empty() { 300 } else { 15 })
    }

    /// Ends every process at once.
    pub fn kill_all(&mut self) {
        self.services.iter_mut().for_each(Service::kill);
    }

    /// Carries out a request, or begins to; `true` means that the laboratory shall end.
    pub fn handle(&mut self, request: Request, reply: Sender<Response>) -> bool {
        let end = request == Request::Down;
        let outcome = match request {
            Request::Status => Ok(Some(Response::Status(Box::new(self.report())))),
            Request::Down => Ok(Some(Response::Done)),
            Request::FaultS3 { fault } => {
                self.s3.set_fault(fault);
                Ok(Some(Response::Done))
            }
            Request::Pause { node } => self.signal(&node, libc::SIGSTOP),
            Request::Resume { node } => self.signal(&node, libc::SIGCONT),
            Request::Kill { node } => self.kill(&node),
            Request::Stop { node } => self.stop(&node, &reply),
            Request::Start { node } => self.start(&node, &reply),
        };
        match outcome {
            Ok(None) => {}
            // A client that went away has no answer to get.
            Ok(Some(response)) => drop(reply.send(response)),
            Err(error) => drop(reply.send(Response::Error { message: error.to_string() })),
        }
        end
    }

    /// Takes note of processes that ended, and answers the requests whose goal is reached.
    pub fn look(&mut self, now: Instant) -> Result<(), LabError> {
        let ended: Vec<Option<String>> = self.services.iter_mut().map(Service::reap).collect();
        if ended.iter().any(Option::is_some) {
            self.record()?;
        }
        let mut open = Vec::new();
        for wait in std::mem::take(&mut self.waits) {
            let ended = ended.get(wait.index).and_then(Option::as_deref);
            match self.judge(&wait, ended, now) {
                None => open.push(wait),
                Some(outcome) => {
                    match wait.reply {
                        Some(reply) => {
                            drop(reply.send(outcome.map_or_else(
                                |error| Response::Error { message: error.to_string() },
                                |()| Response::Done,
                            )))
                        }
                        None => outcome?,
                    }
                }
            }
        }
        self.waits = open;
        let keeper_starts = self.waits.iter().any(|wait| wait.index == KEEPER_INDEX);
        if !keeper_starts {
            for node in std::mem::take(&mut self.queued) {
                self.begin(node, now + PATIENCE)?;
            }
        }
        Ok(())
    }

    fn judge(&self, wait: &Wait, ended: Option<&str>, now: Instant) -> Option<Result<(), LabError>> {
        let service = self.services.get(wait.index)?;
        let late = now > wait.deadline;
        match wait.goal {
            Goal::Gone if service.id().is_none() => Some(Ok(())),
            Goal::Gone if late => Some(Err(service.failure(&format!(
                "expected it to end after SIGTERM, it still runs\n  help: `clickferry-lab kill {}` ends it",
                service.name()
            )))),
            Goal::Ready if service.id().is_none() => {
                let how = ended.unwrap_or("unknown");
                Some(Err(service.failure_with_log(&format!("expected it to serve, it ended ({how})"))))
            }
            Goal::Ready if service.is_ready() => Some(Ok(())),
            Goal::Ready if late => Some(Err(service.failure_with_log("expected it to serve, it does not yet"))),
            Goal::Gone | Goal::Ready => None,
        }
    }

    fn signal(&mut self, name: &str, signal: i32) -> Result<Option<Response>, LabError> {
        let index = self.find(name)?;
        self.service(index)?.signal(signal)?;
        Ok(Some(Response::Done))
    }

    fn kill(&mut self, name: &str) -> Result<Option<Response>, LabError> {
        let index = self.find(name)?;
        let service = self.service(index)?;
        service.signal(libc::SIGKILL)?;
        service.kill();
        self.record()?;
        Ok(Some(Response::Done))
    }

    fn stop(&mut self, name: &str, reply: &Sender<Response>) -> Result<Option<Response>, LabError> {
        let index = self.find(name)?;
        let service = self.service(index)?;
        service.signal(libc::SIGTERM)?;
        // A paused process gets the signal only when it goes on.
        service.signal(libc::SIGCONT)?;
        self.wait(index, Goal::Gone, reply);
        Ok(None)
    }

    fn start(&mut self, name: &str, reply: &Sender<Response>) -> Result<Option<Response>, LabError> {
        let index = self.find(name)?;
        let service = self.service(index)?;
        if service.id().is_some() {
            return Err(service.failure("it runs already; `clickferry-lab status` shows whether it is paused"));
        }
        self.spawn(index)?;
        self.wait(index, Goal::Ready, reply);
        Ok(None)
    }

    fn wait(&mut self, index: usize, goal: Goal, reply: &Sender<Response>) {
        self.waits.push(Wait { index, goal, deadline: Instant::now() + PATIENCE, reply: Some(reply.clone()) });
    }

    fn spawn(&mut self, index: usize) -> Result<(), LabError> {
        self.service(index)?.spawn()?;
        self.record()
    }

    fn find(&self, name: &str) -> Result<usize, LabError> {
        self.services.iter().position(|service| service.name() == name).ok_or_else(|| LabError::UnknownNode {
            name: name.to_owned(),
            known: self.services.iter().map(Service::name).collect::<Vec<_>>().join(", "),
        })
    }

    fn service(&mut self, index: usize) -> Result<&mut Service, LabError> {
        self.services.get_mut(index).ok_or_else(|| LabError::Invalid(format!("no process number {index}")))
    }

    fn process(&self, name: &str) -> Option<ProcessId> {
        self.services.iter().find(|service| service.name() == name).and_then(Service::id)
    }

    /// Writes the processes down, so that another process can end them when this one was killed.
    fn record(&mut self) -> Result<(), LabError> {
        let found: Vec<_> = self.state.nodes.iter().map(|node| self.process(&node.name)).collect();
        self.state.nodes.iter_mut().zip(found).for_each(|(node, process)| node.process = process);
        self.state.keeper.process = self.process(crate::keeper::KEEPER);
        self.state.write(&self.layout)
    }

    /// What there is and how it is.
    pub fn report(&self) -> StatusReport {
        let (fault, requests) = self.s3.observe();
        let mut report = report_from_record(&self.layout, &self.state);
        report.s3.fault = fault;
        report.s3.requests = requests;
        report
    }
}
