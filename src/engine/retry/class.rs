//! Which errors may pass by themselves.

use crate::engine::ports::{KeeperError, ObjectError, SqlError};
use crate::model::runbook::ErrorClass;

/// The class of a server's answer; `None` where no other attempt can help. Codes of ClickHouse 26.7.
#[must_use]
pub fn class_of_code(code: i32, message: &str) -> Option<ErrorClass> {
    match code {
        // DNS_ERROR, SOCKET_TIMEOUT, NETWORK_ERROR, ALL_CONNECTION_TRIES_FAILED; TIMEOUT_EXCEEDED of SYNC REPLICA.
        159 | 198 | 209 | 210 | 279 => Some(ErrorClass::Connection),
        // TOO_MANY_SIMULTANEOUS_QUERIES, SERVER_OVERLOADED, MEMORY_LIMIT_EXCEEDED, TOO_MANY_PARTS.
        202 | 745 | 241 | 252 => Some(ErrorClass::Overload),
        // REPLICA_IS_ALREADY_ACTIVE, TABLE_IS_READ_ONLY, too few replicas, hosts of a backup that lost each other.
        224 | 242 | 254 | 285 | 286 | 415 | 655 => Some(ErrorClass::Keeper),
        // KEEPER_EXCEPTION: the state of nodes does not change by asking again, a connection does.
        999 if ["No node", "Node exists", "not empty"].iter().any(|fixed| message.contains(fixed)) => None,
        999 => Some(ErrorClass::Keeper),
        // S3_ERROR.
        499 if [
            "SlowDown",
            "slow down",
            "Service Unavailable",
            "InternalError",
            "timeout",
            "Timeout",
            ": 500",
            ": 502",
            ": 503",
        ]
        .iter()
        .any(|passing| message.contains(passing)) =>
        {
            Some(ErrorClass::Storage)
        }
        // TABLE_IS_DROPPED, DATABASE_NOT_EMPTY, CONCURRENT_ACCESS_NOT_SUPPORTED, INCONSISTENT_METADATA_FOR_BACKUP,
        // TABLE_IS_BEING_RESTARTED.
        218 | 219 | 587 | 663 | 733 => Some(ErrorClass::Busy),
        // Input, rights, definitions, tables with rows, damaged backups: see docs/errors.
        36 | 42 | 47 | 48 | 60 | 62 | 81 | 115 | 653 | 164 | 225 | 243 | 253 | 359 | 478 | 479 | 497 | 499 | 516
        | 599 | 600 | 601 | 602 | 603 | 604 | 605 | 606 | 607 | 608 | 627 | 630 | 647 | 654 | 664 | 669 | 697 | 774 => {
            None
        }
        _ => Some(ErrorClass::Other),
    }
}

/// The class of a statement's error.
#[must_use]
pub fn class_of(error: &SqlError) -> Option<ErrorClass> {
    match error {
        SqlError::NotSent { .. } | SqlError::Lost { .. } => Some(ErrorClass::Connection),
        SqlError::Server { code, message, .. } => class_of_code(*code, message),
    }
}

/// The class of an error of Keeper.
#[must_use]
pub fn class_of_keeper(error: &KeeperError) -> Option<ErrorClass> {
    match error {
        KeeperError::Unreachable { .. } | KeeperError::Failed { .. } => Some(ErrorClass::Keeper),
        KeeperError::NoNode { .. } | KeeperError::Changed { .. } | KeeperError::Locked { .. } => None,
    }
}

/// The class of an error of the object store.
#[must_use]
pub fn class_of_objects(error: &ObjectError) -> Option<ErrorClass> {
    match error {
        ObjectError::Unavailable { .. } => Some(ErrorClass::Storage),
        ObjectError::NotFound { .. } | ObjectError::NoBucket { .. } | ObjectError::Denied { .. } => None,
    }
}
