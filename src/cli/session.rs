//! What most commands begin with: the environment, the runbook, the ports.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::Common;
use super::printer::Printer;
use crate::action::CATALOGUE;
use crate::adapter::{connect, connect_state};
use crate::diag::{Diagnostic, Diagnostics, Failure, SourceFile};
use crate::engine::compile::{CompileOptions, CompiledRunbook, compile};
use crate::engine::environment_file::{LoadedEnvironment, load_environment};
use crate::engine::ports::{Ports, StateStore};
use crate::engine::retry::PatientReads;
use crate::engine::run::ENVIRONMENT_DOCUMENT;
use crate::model::environment::{Environment, StateBinding};
use crate::model::ids::RunId;
use crate::model::yaml::{self, Node};

/// An environment with its ports.
pub struct Session {
    /// The environment.
    pub environment: Environment,
    /// Its text.
    pub environment_text: String,
    /// Folder of its file, where relative names in it start.
    pub base: PathBuf,
    /// The outside.
    pub ports: Ports,
}

/// Reads a file the user named.
///
/// # Errors
/// What the system says, with the file's name.
pub fn read_source(path: &Path) -> Result<Arc<SourceFile>, Diagnostics> {
    std::fs::read_to_string(path).map(|text| SourceFile::new(path.display().to_string(), text)).map_err(|error| {
        Diagnostic::new("unreadable", format!("{} cannot be read: {error}", path.display()))
            .help("give the path of a YAML file that exists and is UTF-8 text")
            .into()
    })
}

/// Values of `-p name=value`.
///
/// # Errors
/// Every argument without `=`.
pub fn given_parameters(common: &Common) -> Result<BTreeMap<String, String>, Diagnostics> {
    let mut found = Diagnostics::default();
    let mut given = BTreeMap::new();
    for text in &common.param {
        match text.split_once('=') {
            Some((name, value)) => {
                given.insert(name.to_owned(), value.to_owned());
            }
            None => found.push(
                Diagnostic::new("bad-parameter", format!("`-p {text}` has no `=`")).help("write `-p name=value`"),
            ),
        }
    }
    found.into_result(given)
}

/// Loads the environment named by `-e` and builds its ports. Contacts nobody.
///
/// # Errors
/// Mistakes in the file, secrets that cannot be read.
pub async fn open(common: &Common, printer: &Printer) -> Result<Session, Failure> {
    open_for(common, printer, None).await
}

/// As [`open`], but only for the roles that a runbook names: secrets of other roles need not be readable.
///
/// # Errors
/// Mistakes in the file, secrets that cannot be read.
pub async fn open_for(
    common: &Common,
    printer: &Printer,
    runbook: Option<&Arc<SourceFile>>,
) -> Result<Session, Failure> {
    let (mut loaded, text) = load(common)?;
    if let Some(runbook) = runbook {
        narrow(&mut loaded.environment, runbook);
    }
    with_ports(loaded, &text, printer).await
}

/// The environment named by `-e` and its text, without ports: no secret is read.
///
/// # Errors
/// Mistakes in the file.
pub fn load(common: &Common) -> Result<(LoadedEnvironment, String), Failure> {
    let Some(path) = &common.environment else {
        return Err(Diagnostics::from(
            Diagnostic::new("no-environment", "no environment is given")
                .help("add `-e environment.yaml`, or set CLICKFERRY_ENVIRONMENT"),
        )
        .into());
    };
    let source = read_source(path)?;
    let base = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf();
    let mut loaded = load_environment(&source, base)?;
    if let Some(state) = &common.state {
        loaded.environment.state = StateBinding::Directory(absolute(state)?.display().to_string());
    }
    let text = format!("{READ_FROM}{}\n{}", absolute(path)?.display(), source.text);
    Ok((loaded, text))
}

/// Leaves only the roles that the runbook names, where the environment binds all of them; else planning tells which
/// are missing.
pub fn narrow(environment: &mut Environment, runbook: &Arc<SourceFile>) {
    let Ok(document) = yaml::parse(runbook) else { return };
    let named = |section: &str| -> Vec<String> {
        document.root.get(section).into_iter().flat_map(Node::entries).map(|(key, _)| key.name.clone()).collect()
    };
    let (targets, storage) = (named("targets"), named("storage"));
    let is_bound = targets.iter().all(|role| environment.targets.contains_key(role))
        && storage.iter().all(|role| environment.storage.contains_key(role));
    if is_bound {
        environment.targets.retain(|role, _| targets.contains(role));
        environment.storage.retain(|role, _| storage.contains(role));
    }
}

async fn with_ports(loaded: LoadedEnvironment, text: &str, printer: &Printer) -> Result<Session, Failure> {
    let mut ports = connect(&loaded.environment, &loaded.base, printer.redactor()).await.map_err(Failure::Error)?;
    ports.sql = Arc::new(PatientReads::new(Arc::clone(&ports.sql), Arc::clone(&ports.clock)));
    #[cfg(feature = "torture")]
    super::torture::install(&mut ports);
    Ok(Session { environment: loaded.environment, environment_text: text.to_owned(), base: loaded.base, ports })
}

/// First line of the copy of an environment in the state: where relative paths in it start.
const READ_FROM: &str = "# read from ";

/// The environment of a run: the one named by `-e`, else the copy that the run keeps.
///
/// # Errors
/// As [`open`]; and where neither is there.
pub async fn open_for_run(common: &Common, printer: &Printer, run: Option<&str>) -> Result<Session, Failure> {
    if common.environment.is_some() {
        return open(common, printer).await;
    }
    let state = open_state(common, printer).await?;
    let id = which_run(&*state, run, async |_| true).await?;
    let bytes = state.get(&id, ENVIRONMENT_DOCUMENT).await.map_err(crate::engine::run::state_failure)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let path = text.lines().next().and_then(|line| line.strip_prefix(READ_FROM)).map(PathBuf::from).unwrap_or_default();
    let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let source = SourceFile::new(format!("environment of run {id}"), text.clone());
    let mut loaded = load_environment(&source, base)?;
    // Without `-e` the state is a folder, whatever the copy says.
    let folder = common.state.clone().unwrap_or_else(|| PathBuf::from(STATE_FOLDER));
    loaded.environment.state = StateBinding::Directory(absolute(&folder)?.display().to_string());
    with_ports(loaded, &text, printer).await
}

/// Where state is kept when nothing names a place.
const STATE_FOLDER: &str = ".clickferry";

/// The state alone, for commands that contact no server: `--state`, else the environment's, else `.clickferry`.
///
/// # Errors
/// Mistakes in the environment, secrets of the state that cannot be read.
pub async fn open_state(common: &Common, printer: &Printer) -> Result<Arc<dyn StateStore>, Failure> {
    let (binding, base) = state_binding(common)?;
    connect_state(&binding, &base, printer.redactor()).await.map_err(Failure::Error)
}

/// As [`open_state`], with a name that means the same in every folder of this machine.
///
/// # Errors
/// As [`open_state`].
pub async fn open_state_by_full_name(common: &Common, printer: &Printer) -> Result<Arc<dyn StateStore>, Failure> {
    let (binding, base) = state_binding(common)?;
    connect_state(&binding, &absolute(&base)?, printer.redactor()).await.map_err(Failure::Error)
}

/// The state of another environment, by its full name.
///
/// # Errors
/// As [`open_state`].
pub async fn state_of(environment: &Path, printer: &Printer) -> Result<Arc<dyn StateStore>, Failure> {
    let base = absolute(environment.parent().unwrap_or(Path::new("")))?;
    let loaded = load_environment(&read_source(environment)?, base)?;
    connect_state(&loaded.environment.state, &loaded.base, printer.redactor()).await.map_err(Failure::Error)
}

fn state_binding(common: &Common) -> Result<(StateBinding, PathBuf), Failure> {
    match (&common.state, &common.environment) {
        (Some(folder), _) => Ok((StateBinding::Directory(folder.display().to_string()), PathBuf::new())),
        (None, None) => Ok((StateBinding::Directory(STATE_FOLDER.to_owned()), PathBuf::new())),
        (None, Some(path)) => {
            let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
            let loaded = load_environment(&read_source(path)?, base)?;
            Ok((loaded.environment.state, loaded.base))
        }
    }
}

/// Compiles a runbook for an environment.
///
/// # Errors
/// Every mistake in it and in the parameters.
pub fn compile_for(
    source: &Arc<SourceFile>,
    given: &BTreeMap<String, String>,
    environment: &str,
) -> Result<CompiledRunbook, Diagnostics> {
    compile(source, &CompileOptions { catalogue: CATALOGUE, given, environment, allow_missing: false })
}

/// The flags with which another command finds the same environment and state.
#[must_use]
pub fn flags(common: &Common) -> String {
    let flag = |name: &str, path: &Option<PathBuf>| {
        path.as_ref().map(|path| format!(" {name} {}", path.display())).unwrap_or_default()
    };
    format!("{}{}", flag("-e", &common.environment), flag("--state", &common.state))
}

/// The run that a command means: the one named, or the latest that `fits`.
///
/// # Errors
/// Where there is none.
pub async fn which_run(
    state: &dyn StateStore,
    named: Option<&str>,
    fits: impl AsyncFn(&RunId) -> bool,
) -> Result<RunId, Failure> {
    let runs = state.runs().await.map_err(crate::engine::run::state_failure)?;
    if let Some(name) = named {
        let matching: Vec<&RunId> = runs.iter().filter(|run| run.0 == name || run.0.ends_with(name)).collect();
        return match matching.as_slice() {
            [one] => Ok((*one).clone()),
            _ => Err(Failure::simple(
                format!("there is no run `{name}` in {}", state.describe()),
                "`clickferry runs` lists the runs",
            )),
        };
    }
    for run in runs.iter().rev() {
        if fits(run).await {
            return Ok(run.clone());
        }
    }
    let (what, action) = if runs.is_empty() {
        (
            "there is no run",
            "begin one with `clickferry apply`; or name the state folder of another environment with `-e` or `--state`",
        )
    } else {
        ("every run is over", "`clickferry runs` lists the runs")
    };
    Err(Failure::simple(format!("{what} in {}", state.describe()), action))
}

/// A path that stays the same whatever the current folder is.
///
/// # Errors
/// Where the current folder is gone.
pub fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    // Of an empty path, which means the current folder, there is no absolute one.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::path::absolute(path)
        .map_err(|error| Failure::simple(format!("{} is no usable path: {error}", path.display()), "give another path"))
}
