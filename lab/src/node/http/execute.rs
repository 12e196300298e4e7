//! Runs the statement of a request. Everything here blocks and has a thread of its own.

use std::time::Instant;

use hyper::Response;
use tokio::sync::oneshot;

use super::super::Node;
use super::super::cluster;
use super::super::engine::{EngineError, Lease};
use super::super::random;
use super::super::running::Registration;
use super::super::sql::{Statement, quote_identifier, quote_string};
use super::super::statement_log::Entry;
use super::body::{Body, BodyReader};
use super::format::joining;
use super::input::Input;
use super::output::Output;
use super::request::Request;
use super::response::Head;

/// Runs the statement of a request and answers it.
pub fn execute(node: &Node, mut request: Request, body: BodyReader, respond: oneshot::Sender<Response<Body>>) {
    let started = Instant::now();
    let head = Head {
        query_id: request.query_id.clone().unwrap_or_else(random::uuid),
        display_name: node.config.name.clone(),
        timezone: node.engine.timezone.clone(),
        tag: random::tag(),
        format: None,
        encoding: request.accept_encoding,
        started,
    };
    let mut output = Output::new(&request, head, respond);
    let mut input = match Input::read(&mut request, body) {
        Ok(input) => input,
        Err(error) => return output.fail(&error, &node.engine.version),
    };
    if let Some(query_id) = &request.query_id {
        output.head.query_id.clone_from(query_id);
    }
    let entry = Entry::new(&output.head.query_id, &request.credentials.user, &input.statement)
        .with(request.database.as_deref(), &request.settings);
    node.log.start(&entry);
    let outcome = run(node, &request, &mut input, &mut output);
    if outcome.is_err() {
        input.drain();
    }
    // The log comes before the last of the answer: who has the answer finds the line.
    node.log.end(&entry, outcome.as_ref().err().map_or(0, |error| error.code), started.elapsed());
    match outcome {
        Ok(()) => output.finish(),
        Err(error) => output.fail(&error, &node.engine.version),
    }
}

fn run(node: &Node, request: &Request, input: &mut Input, output: &mut Output) -> Result<(), EngineError> {
    let statement = &input.statement;
    if statement.is_empty() {
        return Err(EngineError::new(62, "SYNTAX_ERROR", "Syntax error: Empty query"));
    }
    if statement.has_several() {
        return Err(EngineError::new(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)"));
    }
    if request.is_get && !statement.only_reads() {
        let text = "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. \
                    You should use method POST for modifying queries";
        return Err(EngineError::new(164, "READONLY", text));
    }
    let only_reads = request.credentials.may_only_read(&node.config);
    if only_reads && !statement.only_reads() {
        let text = "Cannot execute query in readonly mode.";
        return Err(EngineError::new(164, "READONLY", text));
    }
    if statement.insert().is_none() {
        output.head.format = Some(statement.format().unwrap_or_else(|| request.default_format.clone()));
    }
    let running = node.running.register(&output.head.query_id)?;
    let mut loan = Loan::take(node, request)?;
    let on_cluster = statement.on_cluster();
    let mut outcome = loan.prepare(request, &output.head.query_id);
    if only_reads && outcome.is_ok() {
        outcome = loan.forbid_changes();
    }
    if outcome.is_ok() {
        outcome = match on_cluster {
            Some((cluster, local)) => {
                let result = cluster::run(node, request, &mut loan.lease, statement, &cluster, &local);
                result.map(|rows| {
                    output.write(&rows);
                })
            }
            None => dispatch(node, request, &mut loan.lease, input, &running, output),
        };
    }
    loan.end(request);
    outcome
}

/// A connection for one request, from its session or the pool.
struct Loan<'a> {
    node: &'a Node,
    lease: Lease,
    /// Values of a session's settings that this request replaces.
    replaced: Vec<(String, String)>,
    /// Whether it can serve no other request.
    is_spent: bool,
}

impl<'a> Loan<'a> {
    fn take(node: &'a Node, request: &Request) -> Result<Self, EngineError> {
        let kept = match &request.session {
            Some(session) => node.sessions.take(session)?,
            None => None,
        };
        let lease = match kept {
            Some(lease) => Ok(lease),
            None => node.engine.lease(request.database.is_some()),
        };
        match lease {
            Ok(lease) => Ok(Self { node, lease, replaced: Vec::new(), is_spent: false }),
            Err(error) => {
                if let Some(session) = &request.session {
                    node.sessions.put(session, None);
                }
                Err(error)
            }
        }
    }

    /// Selects the database, sets the settings and the query id.
    fn prepare(&mut self, request: &Request, query_id: &str) -> Result<(), EngineError> {
        let connection = &mut self.lease.connection;
        connection.set_query_id(query_id);
        if let Some(database) = &request.database {
            connection.run(&format!("USE {}", quote_identifier(database)))?;
        }
        if request.settings.is_empty() {
            return Ok(());
        }
        if request.session.is_some() {
            for (name, _) in &request.settings {
                let query = format!("SELECT value FROM system.settings WHERE name = {}", quote_string(name));
                if let Some(value) = connection.rows(&query)?.concat().pop() {
                    self.replaced.push((name.clone(), value));
                }
            }
        }
        connection.run(&set_statement(&request.settings))
    }

    /// Lets the engine itself refuse every change. There is no way back for the connection, so one of the few in the
    /// reserve is spared; the statement was looked at before.
    fn forbid_changes(&mut self) -> Result<(), EngineError> {
        if self.lease.is_reserved() {
            return Ok(());
        }
        self.is_spent = true;
        self.lease.connection.run("SET readonly = 2")
    }

    /// Gives the connection back to its session or the pool.
    fn end(mut self, request: &Request) {
        if self.is_spent {
            if let Some(session) = &request.session {
                self.node.sessions.put(session, None);
            }
            return;
        }
        match &request.session {
            Some(session) => {
                let restored =
                    self.replaced.is_empty() || self.lease.connection.run(&set_statement(&self.replaced)).is_ok();
                self.node.sessions.put(session, restored.then_some(self.lease));
            }
            None => {
                let moved = request.database.is_some();
                self.node.engine.give_back(self.lease, moved);
            }
        }
    }
}

fn set_statement(settings: &[(String, String)]) -> String {
    let list: Vec<String> =
        settings.iter().map(|(name, value)| format!("{} = {}", setting_name(name), quote_string(value))).collect();
    format!("SET {}", list.join(", "))
}

/// A setting's name as SET takes it; anything odd is quoted, so that it stays one name.
fn setting_name(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain { name.to_owned() } else { quote_identifier(name) }
}

fn dispatch(
    node: &Node,
    request: &Request,
    lease: &mut Lease,
    input: &mut Input,
    running: &Registration,
    output: &mut Output,
) -> Result<(), EngineError> {
    if input.statement.insert().is_some() {
        return insert(request, lease, input, running, output);
    }
    let statement = &input.statement;
    let format = request.default_format.as_str();
    let asked = output.head.format.as_deref().unwrap_or(format).to_owned();
    let rewritten = rewritten(node, statement);
    let sql = rewritten.as_deref().map_or(input.bytes(), str::as_bytes);
    if statement.reads_input() {
        let text = "INSERT ... SELECT ... FROM input() with data is not available in the laboratory";
        return Err(EngineError::new(48, "NOT_IMPLEMENTED", text));
    }
    if statement.is_query()
        && let Some(joining) = joining(&asked)
    {
        let mut stream = lease.connection.stream(sql, format, &request.parameters)?;
        let mut first = true;
        while let Some(chunk) = stream.next_chunk()? {
            output.counters += chunk.counters();
            let from = if first { 0 } else { joining.skip(chunk.bytes()) };
            first = false;
            if !output.write(&chunk.bytes()[from..]) {
                break;
            }
        }
        return Ok(());
    }
    let result = lease.connection.execute(sql, format, &request.parameters)?;
    output.counters += result.counters();
    output.write(result.bytes());
    Ok(())
}

/// The statement with the ids of running INSERTs as the engine knows them; KILL without SYNC.
fn rewritten(node: &Node, statement: &Statement) -> Option<String> {
    let engine_id = |id: &str| node.running.engine_id(id);
    if statement.begins_with(&["KILL", "QUERY"]) {
        return Some(statement.kill(engine_id));
    }
    (statement.is_query() && statement.head().contains("processes")).then(|| statement.with_ids(engine_id))
}

fn insert(
    request: &Request,
    lease: &mut Lease,
    input: &mut Input,
    running: &Registration,
    output: &mut Output,
) -> Result<(), EngineError> {
    let Some(parts) = input.statement.insert().cloned() else { return Ok(()) };
    let mut insert = lease.connection.insert(&parts.statement, &parts.format, &request.parameters)?;
    if let Some(id) = insert.engine_query_id() {
        running.runs_as(id);
    }
    // A broken body drops the insert, which cancels it; a failed insert tells why when it is finished.
    let mut fine = true;
    input
        .data(|piece| fine = fine && insert.append(piece))
        .map_err(|error| EngineError::new(33, "CANNOT_READ_ALL_DATA", format!("Cannot read the data: {error}")))?;
    output.counters += insert.finish()?;
    Ok(())
}
