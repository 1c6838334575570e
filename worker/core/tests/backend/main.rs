//! A backend that has its calls counted, with the layer of key0-validator, in front of the door and the meter of this crate.

#[cfg(test)]
mod meter;
