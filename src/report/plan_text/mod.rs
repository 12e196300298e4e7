//! Parts of the text view of a plan.

mod conversions;
mod facts;
mod overview;
mod page;
mod steps;

pub use page::Page;
