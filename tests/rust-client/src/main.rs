//! An agent that buys with the published Rust x402 client, once: `key0-test-rust-client <url> <body>`, with the wallet's
//! key in `AGENT_PRIVATE_KEY`. Prints the status, the settlement header and the body, a line each.

use std::env;
use std::error::Error;
use std::io::{Write as _, stdout};
use std::sync::Arc;

use alloy_signer_local::PrivateKeySigner;
use reqwest::Client;
use x402_chain_eip155::V2Eip155ExactClient;
use x402_reqwest::{ReqwestWithPayments as _, ReqwestWithPaymentsBuild as _, X402Client};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (url, body) = arguments
        .next()
        .zip(arguments.next())
        .ok_or("usage: <url> <body>")?;
    let wallet: PrivateKeySigner = env::var("AGENT_PRIVATE_KEY")?.parse()?;
    let paying = X402Client::new().register(V2Eip155ExactClient::new(Arc::new(wallet)));
    let client = Client::new().with_payments(paying).build();
    let answer = client
        .post(url)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await?;
    let status = answer.status().as_u16();
    let settled = answer
        .headers()
        .get("payment-response")
        .map_or("", |value| value.to_str().unwrap_or_default())
        .to_owned();
    let text = answer.text().await?;
    writeln!(stdout(), "{status}\n{settled}\n{text}")?;
    Ok(())
}
