//! How the seller's backend is called: authentication, issuing, notifications.

pub mod authentication;
pub mod issuance;
pub mod notification;
pub mod oauth;
