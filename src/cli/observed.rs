//! What a plan is made from: the servers as they are, or a snapshot of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::args::Common;
use super::printer::Printer;
use super::session::{compile_for, load, narrow, open_for, read_source};
use crate::diag::{Failure, SourceFile};
use crate::engine::compile::CompiledRunbook;
use crate::engine::environment_file::LoadedEnvironment;
use crate::engine::guard::signers_facts;
use crate::engine::look::{Observations, observe_for};
use crate::engine::snapshot::Snapshot;
use crate::model::environment::Environment;

/// Everything that planning is given.
pub struct Observed {
    /// The runbook.
    pub compiled: CompiledRunbook,
    /// The environment.
    pub environment: Environment,
    /// What was seen.
    pub observations: Observations,
}

/// Observes the servers; or, with a snapshot, contacts nobody and reads no secret.
///
/// # Errors
/// Mistakes in the files, unreachable servers, a snapshot of something else.
pub async fn observed(
    source: &Arc<SourceFile>,
    given: &BTreeMap<String, String>,
    against: Option<&Path>,
    common: &Common,
    printer: &Printer,
) -> Result<Observed, Failure> {
    let Some(path) = against else {
        let session = open_for(common, printer, Some(source)).await?;
        let compiled = compile_for(source, given, &session.environment.metadata.name)?;
        let mut observations = observe_for(&compiled, &session.environment, &session.ports).await?;
        observations.local = signers_facts(&compiled.runbook.guards, &session.base);
        return Ok(Observed { compiled, environment: session.environment, observations });
    };
    let LoadedEnvironment { mut environment, base } = load(common)?.0;
    narrow(&mut environment, source);
    let compiled = compile_for(source, given, &environment.metadata.name)?;
    let file = read_source(path)?;
    let snapshot = Snapshot::read(&file)?;
    let head = format!("{} was taken at {}; no server is contacted.\n", file.name, snapshot.taken);
    let mut observations = snapshot.observations_for(&file.name, &compiled, &environment)?;
    observations.local = signers_facts(&compiled.runbook.guards, &base);
    printer.error(&printer.err_style().notice(&head));
    Ok(Observed { compiled, environment, observations })
}
