//! Values that the agent card and the A2A door share.

/// The path of the A2A door, as the card declares it.
pub const A2A_PATH: &str = "/a2a";

/// The versions of the extension "you can pay here with x402" (<https://github.com/google-agentic-commerce/a2a-x402>) that
/// are declared and spoken, the newest first. Their keys on the wire are the same, and clients look for either.
pub const X402_EXTENSIONS: [&str; 2] = [
    "https://github.com/google-agentic-commerce/a2a-x402/blob/main/spec/v0.2",
    "https://github.com/google-a2a/a2a-x402/v0.1",
];
