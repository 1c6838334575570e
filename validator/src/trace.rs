//! Events for `tracing`, with the feature of that name. They never contain a part of a token.

use crate::ValidationError;

/// A token was judged.
#[cfg(feature = "tracing")]
pub(crate) fn outcome<T>(outcome: &Result<T, ValidationError>) {
    match outcome {
        Ok(_) => {}
        Err(error) if error.status() == 500 => {
            tracing::error!(target: "key0_validator", kind = error.kind(), "{error}");
        }
        Err(error) => {
            tracing::debug!(target: "key0_validator", kind = error.kind(), "token refused: {error}");
        }
    }
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn outcome<T>(_: &Result<T, ValidationError>) {}

/// Keys were fetched, or could not be.
#[cfg(all(feature = "tracing", feature = "rs256"))]
pub(crate) fn fetched(outcome: &crate::FetchOutcome<'_>) {
    use crate::FetchOutcome;
    match outcome {
        FetchOutcome::Loaded { keys, ignored } => {
            tracing::info!(target: "key0_validator", keys, "keys loaded");
            for reason in *ignored {
                tracing::warn!(target: "key0_validator", "a key was ignored: {reason}");
            }
        }
        FetchOutcome::Unchanged => {
            tracing::debug!(target: "key0_validator", "keys unchanged");
        }
        FetchOutcome::Failed { reason } => {
            tracing::error!(target: "key0_validator", "keys could not be fetched: {reason}");
        }
    }
}

#[cfg(all(not(feature = "tracing"), feature = "rs256"))]
pub(crate) fn fetched(_: &crate::FetchOutcome<'_>) {}
