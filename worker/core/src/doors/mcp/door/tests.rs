//! What the door answers.
