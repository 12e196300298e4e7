//! What the node has to know about a statement before the engine sees it: its kind, its format, the data behind an
//! INSERT, ON CLUSTER, and which words in it are secret. The engine parses; this only finds its way by tokens.

mod insert;
mod lexer;
mod mask;
mod statement;

pub use insert::InsertParts;
pub use lexer::{quote_identifier, quote_string};
pub use mask::masked;
pub use statement::Statement;
