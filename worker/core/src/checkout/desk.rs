//! What every call to checkout needs: the settings, the platform, and the time.

use super::brought::Calls;
use super::grant::{AccessGrant, GrantError};
use crate::chain::Chain;
use crate::config::Config;
use crate::goods::Goods;
use crate::purchase::Purchases;
use crate::token::Rsa;
use crate::types::{HttpUrl, UnixSeconds};

/// What checkout reaches outside this program. The platform implements this trait, and doors only pass it on.
pub trait Deployment {
    /// The purchases, which are found by their request ids, and the calls that a request brings to them.
    type Purchases: Purchases + Calls;
    /// The chain. Checkout asks it one thing only: whether a contract wallet accepts a signature.
    type Chain: Chain;

    /// The purchases.
    fn purchases(&self) -> &Self::Purchases;
    /// The chain.
    fn chain(&self) -> &Self::Chain;
}

impl<P: Purchases + Calls, C: Chain> Deployment for (&P, &C) {
    type Purchases = P;
    type Chain = C;

    fn purchases(&self) -> &P {
        self.0
    }

    fn chain(&self) -> &C {
        self.1
    }
}

/// The one way to a purchase, for every door. Made for one request.
#[expect(
    missing_debug_implementations,
    reason = "the platform has nothing to show"
)]
pub struct Checkout<'a, D> {
    /// The settings.
    pub config: &'a Config,
    /// The purchases and the chain.
    pub deployment: D,
    /// The platform's RSA, for tokens that are signed with it, and for checking them.
    pub rsa: &'a dyn Rsa,
    /// The public address of this deployment.
    pub origin: HttpUrl,
    /// The time.
    pub now: UnixSeconds,
    /// Random bytes, new for each request: ids of purchases that the client does not name are made of them.
    pub random: [u8; 16],
}

impl<D> Checkout<'_, D> {
    /// Makes the grant that the buyer gets for the goods of an [`Outcome::Granted`](super::Outcome::Granted). The same
    /// goods always give the same grant.
    pub async fn grant<'g>(&self, goods: &'g Goods) -> Result<AccessGrant<'g>, GrantError> {
        AccessGrant::new(self.config, self.rsa, goods).await
    }
}
