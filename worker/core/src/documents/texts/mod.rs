//! The texts for models.

mod llms;
mod skills;
#[cfg(test)]
mod tests;

pub use llms::llms;
pub use skills::skills;
