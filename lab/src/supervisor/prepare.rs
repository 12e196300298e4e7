//! Before anything runs: the folder, its lock, ports, secrets, and the recipe of every process.

use std::fs::File;
use std::net::TcpListener;

use super::child::Service;
use crate::error::LabError;
use crate::files;
use crate::install::Parts;
use crate::layout::Layout;
use crate::options::{PartPaths, Size};
use crate::ports::{self, FreePorts};
use crate::process::ProcessId;
use crate::s3::S3Keys;
use crate::state::{self, Claim, KeeperState, LabState};
use crate::{embedded, environment, keeper, server_engine, teardown, topology};

/// A laboratory about to start.
pub struct Prepared {
    /// Held for as long as the supervisor lives.
    pub lock: File,
    /// Ports and names; no process yet.
    pub state: LabState,
    /// Keeper first, then the nodes.
    pub services: Vec<Service>,
    /// Where the S3 endpoint listens.
    pub s3_listener: TcpListener,
    /// The keys it asks for.
    pub keys: S3Keys,
}

/// Takes the folder, after a dead laboratory in it was cleaned up, and writes everything into it.
pub fn prepare(layout: &Layout, size: &Size, paths: &PartPaths) -> Result<Prepared, LabError> {
    let parts = Parts::find(size.engine, paths)?;
    let lock = take_folder(layout)?;
    fill(layout, size, &parts, lock).inspect_err(|_| {
        // The error is what the user must see, not a folder that could not be removed as well.
        let _ = teardown::remove_folder(layout);
    })
}

fn take_folder(layout: &Layout) -> Result<File, LabError> {
    teardown::clean_dead(layout)?;
    if !state::is_vacant(layout.dir())? {
        return Err(LabError::NotALaboratory { dir: layout.dir().to_path_buf() });
    }
    files::private_dir(layout.dir())?;
    match state::claim_new(layout)? {
        Claim::Ours(Some(lock)) => Ok(lock),
        Claim::Ours(None) | Claim::Theirs => Err(LabError::AlreadyRunning { dir: layout.dir().to_path_buf() }),
    }
}

fn fill(layout: &Layout, size: &Size, parts: &Parts, lock: File) -> Result<Prepared, LabError> {
    let supervisor = ProcessId::own().ok_or_else(|| {
        LabError::Invalid("/proc is not mounted; the laboratory needs it to know its processes".to_owned())
    })?;
    let mut free = FreePorts::default();
    let nodes = topology::nodes(size, &mut free)?;
    let keeper = KeeperState { port: free.take()?, process: None };
    let (s3_listener, s3_port) = ports::bind()?;
    let state = LabState { version: 1, engine: size.engine, supervisor, nodes, keeper, s3_port };
    // From here on the folder is known as a laboratory, whatever happens to this process.
    state.write(layout)?;
    let keys = S3Keys {
        access_key: format!("LAB{}", files::random_hex(8)?.to_uppercase()),
        secret_key: files::random_hex(20)?,
    };
    let password = files::random_hex(16)?;
    files::private_dir(&layout.secrets())?;
    files::private_dir(&layout.run_state())?;
    files::write_private(&layout.password(), password.as_bytes())?;
    files::write_private(&layout.access_key(), keys.access_key.as_bytes())?;
    files::write_private(&layout.secret_key(), keys.secret_key.as_bytes())?;
    environment::write(layout, &state)?;
    let mut services = vec![Service::new(keeper::recipe(layout, parts, state.keeper.port)?)];
    for node in &state.nodes {
        let recipe = match (&parts.library, &parts.server) {
            (Some(library), _) => embedded::recipe(layout, library, &state, node, &password)?,
            (None, Some(server)) => server_engine::recipe(layout, server, &state, node, &password)?,
            (None, None) => {
                return Err(LabError::Invalid("no engine was found for the nodes".to_owned()));
            }
        };
        services.push(Service::new(recipe));
    }
    free.release();
    Ok(Prepared { lock, state, services, s3_listener, keys })
}
