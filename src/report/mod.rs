//! Views of plans, runs and servers: text for terminals, the same facts as JSON.

pub mod asked;
pub mod diff_view;
pub mod guards;
pub mod inspect_view;
pub mod matrix;
pub mod outline;
pub mod page_view;
pub mod plan_html;
pub mod plan_json;
pub mod plan_markdown;
mod plan_text;
pub mod plan_view;
pub mod reference;
pub mod run_report;
pub mod run_view;
pub mod state_view;
pub mod text;
pub mod unlock_view;
