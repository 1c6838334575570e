//! Results that layers and extractors of one request share, so that none repeats another's work.

use std::sync::Arc;

use crate::gateway::Gateway;
use crate::{AccessToken, Admission};

/// The tokens that were let through for one request, each with the gateway that it is from. Kept in the request's extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed(Vec<(Arc<Gateway>, AccessToken)>);

impl Passed {
    #[cfg(feature = "http")]
    pub(crate) fn note(&mut self, gateway: Arc<Gateway>, token: AccessToken) {
        self.0.push((gateway, token));
    }

    /// The token that one of these gateways let through.
    #[cfg(feature = "http")]
    pub(crate) fn by(&self, gateways: &[Arc<Gateway>]) -> Option<&AccessToken> {
        let of_these = |gateway| gateways.iter().any(|other| Arc::ptr_eq(gateway, other));
        let mut passed = self.0.iter().rev();
        passed
            .find(|(gateway, _)| of_these(gateway))
            .map(|(_, token)| token)
    }

    /// Whether this backend's hook was asked about the same token for the same request: a token for one use would be refused
    /// by the second question.
    pub(crate) fn admitted(&self, admission: &Arc<dyn Admission>, token: &AccessToken) -> bool {
        let same = |other: &Arc<dyn Admission>| {
            core::ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(admission))
        };
        self.0
            .iter()
            .any(|(gateway, other)| other == token && gateway.admission().is_some_and(same))
    }
}
