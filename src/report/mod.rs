//! Views of plans, runs and servers: text for terminals, the same facts as JSON.

pub mod inspect_view;
pub mod matrix;
pub mod outline;
pub mod plan_view;
pub mod reference;
pub mod run_view;
pub mod text;
