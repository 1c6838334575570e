//! A node that is asked what contract wallets say to signatures.

use crate::json;
use alloy_primitives::hex;

use crate::chain::endpoints::{Http, HttpFault};
use crate::chain::usdc;
use crate::types::{Network, UnixMillis};

/// A node on Base Sepolia.
pub(crate) struct WalletNode {
    /// What each question must contain.
    pub(crate) about: &'static str,
    /// The word that the wallet returns, or the fault of the node. Without one the chain must not be asked.
    pub(crate) says: Option<Result<&'static str, &'static str>>,
    /// The time.
    pub(crate) now: UnixMillis,
}

impl Http for WalletNode {
    async fn post(&self, _: &str, body: Vec<u8>, _: u32) -> Result<Vec<u8>, HttpFault> {
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(text.contains(self.about), "{text}");
        let says = self.says.unwrap_or_else(|| panic!("{text}"));
        let word = says.map_err(|fault| HttpFault::NoAnswer(fault.to_owned()))?;
        // The question comes third, after those for the chain's identity.
        let separator = hex::encode_prefixed(usdc::domain(Network::BaseSepolia).separator());
        let told = json!([
            {"id": 1, "result": "0x14a34"},
            {"id": 2, "result": separator},
            {"id": 3, "result": word},
        ]);
        Ok(told.to_string().into_bytes())
    }
    fn now(&self) -> UnixMillis {
        self.now
    }
    fn skipped(&self, _: usize, fault: &str) {
        assert!(matches!(self.says, Some(Err(_))), "{fault}");
    }
}
