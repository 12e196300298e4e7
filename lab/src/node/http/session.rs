//! Named sessions: a connection that is kept between requests.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::engine::{EngineError, Lease};
use super::request::SessionRequest;

/// The sessions of a node.
#[derive(Default)]
pub struct Sessions {
    map: Mutex<HashMap<String, Slot>>,
}

enum Slot {
    Busy,
    Idle { lease: Lease, until: Instant },
}

impl Sessions {
    /// Takes a session for a request; `None` when it is new. Error 373 while another request uses it, 372 when it has
    /// to exist and does not.
    pub fn take(&self, request: &SessionRequest) -> Result<Option<Lease>, EngineError> {
        let mut map = self.map();
        let now = Instant::now();
        map.retain(|_, slot| !matches!(slot, Slot::Idle { until, .. } if *until <= now));
        if matches!(map.get(&request.id), Some(Slot::Busy)) {
            let text = format!("Session {} is locked by a concurrent client", request.id);
            return Err(EngineError::new(373, "SESSION_IS_LOCKED", text));
        }
        if request.check && !map.contains_key(&request.id) {
            let text = format!("Session {} not found", request.id);
            return Err(EngineError::new(372, "SESSION_NOT_FOUND", text));
        }
        match map.insert(request.id.clone(), Slot::Busy) {
            Some(Slot::Idle { lease, .. }) => Ok(Some(lease)),
            _ => Ok(None),
        }
    }

    /// Puts a session back until its next request, or ends it.
    pub fn put(&self, request: &SessionRequest, lease: Option<Lease>) {
        let mut map = self.map();
        match lease.filter(|_| !request.close) {
            Some(lease) => {
                let until = Instant::now() + Duration::from_secs(request.timeout);
                map.insert(request.id.clone(), Slot::Idle { lease, until });
            }
            None => {
                map.remove(&request.id);
            }
        }
    }

    /// Ends all idle sessions, so that their connections close.
    pub fn close(&self) {
        self.map().clear();
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
