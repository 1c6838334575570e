//! Nothing: the program is benches/validator.
