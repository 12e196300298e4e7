//! What the user is told when something is wrong: diagnostics with a place, refusals with evidence.

mod clip;
mod diagnostic;
mod failure;
mod render;
mod source;
mod words;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use failure::{Failure, Refusal};
pub use render::render;
pub use source::{SourceFile, Span};
pub use words::grouped;
