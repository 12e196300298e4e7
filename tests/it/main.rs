//! The one integration binary.
#![allow(missing_docs)]

mod architecture;
mod cli;
mod generated;
mod invalid;
mod lab_move;
mod runbooks;
mod support;
