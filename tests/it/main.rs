//! The one integration binary.
#![allow(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails there"
)]

mod architecture;
mod cli;
mod errors_page;
mod formats;
mod generated;
mod invalid;
mod lab_bad_input;
mod lab_cancel;
mod lab_commands;
mod lab_count;
mod lab_definitions;
mod lab_drift;
mod lab_drift_backup;
mod lab_drift_keeper;
mod lab_drift_parts;
mod lab_drift_servers;
mod lab_drift_steps;
mod lab_exchange;
mod lab_faults;
mod lab_gates;
mod lab_keeper;
mod lab_kill;
mod lab_lost_answer;
mod lab_lost_keeper;
mod lab_move;
mod lab_on_failure;
#[cfg(feature = "torture")]
mod lab_own;
mod lab_plan;
mod lab_reads;
mod lab_redo;
mod lab_resolve;
mod lab_retry;
mod lab_runbooks;
mod lab_seen;
mod lab_server;
mod lab_signals;
mod lab_state;
mod lab_steps;
#[cfg(feature = "torture")]
mod lab_stopped;
mod lab_terminal;
#[cfg(feature = "torture")]
mod lab_torture;
mod lab_undo;
mod lab_undo_steps;
mod lab_unlock;
mod model_damage;
mod model_resume;
mod model_window;
mod plans_approvals;
mod plans_destroyed;
mod plans_diff;
mod plans_explain;
mod plans_guards;
mod plans_guards_saved;
mod plans_reader;
mod plans_saved;
mod plans_snapshot;
mod plans_views;
mod report;
mod runbooks;
mod state_commands;
mod state_port;
mod state_s3;
mod support;
#[cfg(feature = "otel")]
mod traces;
