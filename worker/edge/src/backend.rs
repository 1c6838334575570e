//! Calls to the seller's backend, authenticated as the settings say.

use key0_core::backend::authentication::{BackendAnswer, BackendAuth, BackendCall, service_token};
use key0_core::config::Config;
use key0_core::goods::DeliveryFault;
use worker::Env;

use crate::objects::Objects;
use crate::rsa::WebCrypto;
use crate::{outbound, platform};

const UNAUTHORIZED: u16 = 401;

/// Makes one call. With OAuth, repeats the call once if the backend does not accept the token.
pub(crate) async fn call(
    env: &Env,
    config: &Config,
    call: &BackendCall,
) -> Result<BackendAnswer, DeliveryFault> {
    match &config.backend.auth {
        BackendAuth::None => outbound::backend(call, None).await,
        BackendAuth::SharedSecret { header, secret } => {
            outbound::backend(call, Some((header, secret.expose()))).await
        }
        BackendAuth::ServiceToken { audience } => {
            let token = sign(config, audience, &call.issuer).await;
            outbound::backend(call, Some(("authorization", &bearer(token)?))).await
        }
        BackendAuth::OAuth(_) => {
            let mut refused = None;
            loop {
                let token = Objects::new(env).backend_token(refused).await;
                let token = token.ok_or(DeliveryFault::Unauthenticated)?;
                let header = bearer(Some(token.text))?;
                let answer = outbound::backend(call, Some(("authorization", &header))).await?;
                if answer.status != UNAUTHORIZED || refused.is_some() {
                    return Ok(answer);
                }
                refused = Some(token.number);
            }
        }
    }
}

async fn sign(config: &Config, audience: &str, issuer: &str) -> Option<String> {
    let nonce = platform::random().ok()?;
    let now = platform::now().to_seconds();
    service_token(
        &config.token.signer,
        &WebCrypto,
        audience,
        issuer,
        now,
        nonce,
    )
    .await
    .ok()
}

fn bearer(token: Option<String>) -> Result<String, DeliveryFault> {
    token
        .map(|token| format!("Bearer {token}"))
        .ok_or(DeliveryFault::Unauthenticated)
}
