//! The two chains that key0 sells on, and what is fixed about USDC there.

use alloy_primitives::{Address, address};
use serde::{Deserialize, Serialize};

/// A chain together with its USDC contract.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Network {
    /// Base mainnet: real money.
    #[serde(rename = "eip155:8453")]
    Base,
    /// Base Sepolia: the public test network, and the local world.
    #[serde(rename = "eip155:84532")]
    BaseSepolia,
}

impl Network {
    /// The network with this chain id.
    pub const fn from_chain_id(chain_id: u64) -> Option<Self> {
        match chain_id {
            8453 => Some(Self::Base),
            84532 => Some(Self::BaseSepolia),
            _ => None,
        }
    }

    /// EIP-155 chain id.
    pub const fn chain_id(self) -> u64 {
        match self {
            Self::Base => 8453,
            Self::BaseSepolia => 84532,
        }
    }

    /// CAIP-2 name, as x402 version 2 writes it.
    pub const fn caip2(self) -> &'static str {
        match self {
            Self::Base => "eip155:8453",
            Self::BaseSepolia => "eip155:84532",
        }
    }

    /// The name that x402 version 1 has for it.
    pub const fn v1_name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::BaseSepolia => "base-sepolia",
        }
    }

    /// The seller's word for it (`KEY0_NETWORK`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "mainnet",
            Self::BaseSepolia => "testnet",
        }
    }

    /// The USDC contract.
    pub const fn usdc(self) -> Address {
        match self {
            Self::Base => address!("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"),
            Self::BaseSepolia => address!("0x036CbD53842c5426634e7929541eC2318f3dCF7e"),
        }
    }

    /// `name` of USDC's EIP-712 domain. It differs between the two chains; mixing them up makes every signature invalid.
    pub const fn usdc_domain_name(self) -> &'static str {
        match self {
            Self::Base => "USD Coin",
            Self::BaseSepolia => "USDC",
        }
    }

    /// `version` of USDC's EIP-712 domain.
    pub const fn usdc_domain_version(self) -> &'static str {
        "2"
    }

    /// The block explorer's origin.
    pub const fn explorer(self) -> &'static str {
        match self {
            Self::Base => "https://basescan.org",
            Self::BaseSepolia => "https://sepolia.basescan.org",
        }
    }

    /// The facilitator that settles when the seller names none.
    pub const fn default_facilitator_url(self) -> &'static str {
        match self {
            Self::Base => "https://api.cdp.coinbase.com/platform/v2/x402",
            Self::BaseSepolia => "https://www.x402.org/facilitator",
        }
    }

    /// A public RPC endpoint, used when the seller names none.
    pub const fn default_rpc_url(self) -> &'static str {
        match self {
            Self::Base => "https://mainnet.base.org",
            Self::BaseSepolia => "https://sepolia.base.org",
        }
    }
}
