//! How the seller's backend is called: authentication, issuing, notifications, and the calls
//! that are passed on.

pub mod authentication;
pub mod held;
pub mod issuance;
pub mod notification;
pub mod oauth;
pub mod origin;
