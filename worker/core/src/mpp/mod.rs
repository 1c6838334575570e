//! The objects of the Machine Payments Protocol, a second way to say what x402 says: the price as an authentication
//! challenge, the payment as its credential (<https://paymentauth.org/>). The method is `evm`, the intent `charge`: the
//! payer signs the same authorization (EIP-3009) as with x402, over a nonce that follows from the challenge.

mod binding;
mod challenge;
mod credential;
mod fault;
mod names;
mod problem;
mod receipt;
mod schemes;
#[cfg(test)]
mod tests;

pub use binding::nonces;
pub use challenge::{Challenge, Setting};
pub use credential::Credential;
pub use fault::Fault;
pub use names::{
    ACCEPT_PAYMENT, Field, INTENT, MEDIA_TYPE, METHOD, PAYMENT_AUTHORIZATION, PAYMENT_RECEIPT,
};
pub use problem::Problem;
pub use receipt::PaymentReceipt;
pub use schemes::{credential, schemes, without_payment};
