//! What the seller's backend does for purchases, and where buyers find it.

use super::backend_auth;
use super::secrets::Secrets;
use super::vars::{Read, Vars, parsed};
use crate::backend::authentication::BackendAuth;
use crate::backend::issuance::{CredentialKey, IssuingBackend};
use crate::backend::notification::{Notified, SigningSecret};
use crate::types::HttpUrl;

const MAX_SIGNING_SECRETS: usize = 4;

/// What the seller's backend does for purchases, and where buyers find it.
#[derive(Debug)]
pub struct BackendSettings {
    /// The backend that issues the credentials; `None` when the gateway issues them itself.
    pub issuing: Option<IssuingBackend>,
    /// How the gateway authenticates to the backend.
    pub auth: BackendAuth,
    /// Where notifications are sent, if anywhere.
    pub notified: Option<Notified>,
    /// The key under which the backend's credentials are stored.
    pub credential_key: CredentialKey,
    /// The URL at which a buyer uses the token. In it, `{resourceId}` stands for the resource.
    pub resource_endpoint: Option<String>,
}

pub(super) fn read(vars: &mut Vars<'_>, secrets: &Secrets) -> Option<BackendSettings> {
    let url = vars.url("BACKEND_API_URL");
    let issuing = issuing(vars, &url);
    let url = url.into_option();
    let auth = backend_auth::read(vars, url.as_ref(), secrets);
    let notified = notified(vars, url.as_ref());
    let resource_endpoint = vars.optional("KEY0_RESOURCE_ENDPOINT", resource_template);
    let resource_endpoint = resource_endpoint.into_option().map(|(template, sample)| {
        vars.sends_to("KEY0_RESOURCE_ENDPOINT", &sample);
        template
    });
    Some(BackendSettings {
        issuing: issuing?,
        auth: auth?,
        notified: notified?,
        credential_key: CredentialKey::new(secrets.token.as_ref()?, &secrets.old),
        resource_endpoint: resource_endpoint.or_else(|| Some(url?.join("/{resourceId}"))),
    })
}

/// The backend that issues credentials, if the seller wants that. `None` only together with a recorded problem.
fn issuing(vars: &mut Vars<'_>, url: &Read<HttpUrl>) -> Option<Option<IssuingBackend>> {
    let modes = [("native", false), ("remote", true)];
    let is_remote = vars.choice("TOKEN_MODE", "native", &modes);
    let timeout_millis = vars.number("TOKEN_ISSUE_TIMEOUT_MS", 15_000, 100, 60_000);
    let retries = vars.number("TOKEN_ISSUE_RETRIES", 2, 0, 5);
    let backend = |url: &HttpUrl| {
        Some(IssuingBackend {
            url: url.clone(),
            timeout_millis: u32::try_from(timeout_millis?).ok()?,
            retries: u32::try_from(retries?).ok()?,
        })
    };
    match (is_remote?, url) {
        (false, _) => Some(None),
        (true, Read::Value(url)) => backend(url).map(Some),
        (true, Read::Absent) => {
            vars.problem("BACKEND_API_URL", "is required when TOKEN_MODE is remote");
            None
        }
        (true, Read::Bad) => None,
    }
}

/// Where notifications are sent: to the backend, unless the seller has turned them off. The outer `None` comes only
/// with a recorded problem.
fn notified(vars: &mut Vars<'_>, url: Option<&HttpUrl>) -> Option<Option<Notified>> {
    let is_wanted = vars.flag("BACKEND_NOTIFICATIONS", true);
    let secrets = vars.list("WEBHOOK_SIGNING_SECRET", MAX_SIGNING_SECRETS, |text| {
        SigningSecret::new(text).ok_or_else(|| {
            "must be whsec_ and base64 of 24 to 64 bytes; several are separated by commas"
                .to_owned()
        })
    });
    let url = url.filter(|_| is_wanted == Some(true)).cloned();
    is_wanted.map(|_| url.map(|url| Notified { url, secrets }))
}

/// Reads a URL that may contain `{resourceId}`. Also returns the URL for the resource `default`.
fn resource_template(text: &str) -> Result<(String, HttpUrl), String> {
    let filled = text.replace("{resourceId}", "default");
    if filled.contains(['{', '}']) {
        return Err("must have no braces but those of {resourceId}".to_owned());
    }
    match parsed(&filled) {
        Ok(sample) => Ok((text.to_owned(), sample)),
        Err(error) => Err(format!(
            "{error} (`{{resourceId}}` may stand for the resource)"
        )),
    }
}
