//! The statements that run now, by the query id their clients know.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::EngineError;

/// Running statements: the client's query id, and the engine's where it is another.
#[derive(Default)]
pub struct Running {
    ids: Mutex<HashMap<String, Option<String>>>,
}

/// One running statement; taken off the list when dropped.
pub struct Registration {
    list: Arc<Running>,
    query_id: String,
}

impl Running {
    /// Puts a statement on the list; error 216 when its id is taken.
    pub fn register(self: &Arc<Self>, query_id: &str) -> Result<Registration, EngineError> {
        let mut ids = self.ids();
        if ids.contains_key(query_id) {
            return Err(EngineError::new(
                216,
                "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
                format!("Query with id = {query_id} is already running."),
            ));
        }
        ids.insert(query_id.to_owned(), None);
        Ok(Registration { list: Arc::clone(self), query_id: query_id.to_owned() })
    }

    /// The engine's id of a statement, where it differs from the client's.
    pub fn engine_id(&self, query_id: &str) -> Option<String> {
        self.ids().get(query_id).cloned().flatten()
    }

    /// Whether no statement runs.
    pub fn is_empty(&self) -> bool {
        self.ids().is_empty()
    }

    fn ids(&self) -> MutexGuard<'_, HashMap<String, Option<String>>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// Notes the id under which the engine runs the statement.
    pub fn runs_as(&self, engine_id: String) {
        if engine_id != self.query_id {
            self.list.ids().insert(self.query_id.clone(), Some(engine_id));
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.list.ids().remove(&self.query_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_until_its_statement_ends() {
        let running = Arc::new(Running::default());
        let first = running.register("a").unwrap();
        assert_eq!(running.register("a").err().map(|error| error.code), Some(216));
        first.runs_as("b".to_owned());
        assert_eq!(running.engine_id("a").as_deref(), Some("b"));
        drop(first);
        assert_eq!(running.engine_id("a"), None);
        assert!(running.register("a").is_ok());
    }
}
