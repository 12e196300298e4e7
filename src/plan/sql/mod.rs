//! SQL as text: quoting of names and values, and a lexer for what the engine must recognise.

mod lexer;
mod quote;

pub use lexer::{Token, TokenKind, split_statements, tokenize};
pub use quote::{identifier, literal, qualified};
