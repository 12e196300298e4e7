//! What the finished operations of a run proved, shared by the operations behind them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::model::ids::OperationId;

/// Outcomes by operation. Lanes write and read it side by side.
#[derive(Debug, Default)]
pub struct Outcomes(RwLock<HashMap<OperationId, Arc<Value>>>);

impl Outcomes {
    /// What an operation proved, once it did.
    #[must_use]
    pub fn get(&self, operation: &OperationId) -> Option<Arc<Value>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(operation).cloned()
    }

    /// Keeps what an operation proved.
    pub fn insert(&self, operation: OperationId, outcome: Arc<Value>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(operation, outcome);
    }

    /// Forgets what an operation proved, because it is done again.
    pub fn remove(&self, operation: &OperationId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(operation);
    }
}

impl FromIterator<(OperationId, Arc<Value>)> for Outcomes {
    fn from_iter<I: IntoIterator<Item = (OperationId, Arc<Value>)>>(outcomes: I) -> Self {
        Self(RwLock::new(outcomes.into_iter().collect()))
    }
}
