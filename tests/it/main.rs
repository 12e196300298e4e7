//! The one integration binary.
#![allow(missing_docs)]

mod architecture;
mod cli;
mod generated;
mod invalid;
mod lab_bad_input;
mod lab_keeper;
mod lab_kill;
mod lab_move;
mod lab_plan;
mod lab_runbooks;
mod lab_server;
mod lab_steps;
mod plans_approvals;
mod plans_guards;
mod runbooks;
mod support;
