//! The page for people.

mod front;
mod html;

pub use front::{front, icon};
