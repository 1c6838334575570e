//! What is asked of the wallet's door.

use http::Method;

use crate::response::{self, Response};
use crate::types::RequestId;

/// The path of the door.
const GRANTS_PATH: &str = "/grants";
const ALL: &str = "GET, OPTIONS";
const ONE: &str = "GET, DELETE, OPTIONS";

/// What a wallet wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Action {
    /// All of its grants.
    List,
    /// One of them, and its token.
    Show(RequestId),
    /// To take one back.
    Revoke(RequestId),
}

/// What is no action.
#[derive(Clone, Copy, Debug)]
pub(super) enum NoAction {
    /// A question for the methods, which are these.
    Options(&'static str),
    /// Another method than these.
    Method(&'static str),
    /// There is no such path.
    Path,
}

impl NoAction {
    /// The answer to it.
    pub(super) fn answer(self) -> Response {
        match self {
            Self::Options(allowed) => response::options(allowed),
            Self::Method(allowed) => response::method_not_allowed(allowed),
            Self::Path => response::not_found(),
        }
    }
}

/// Whether a path belongs to this door. (The one below it that backends use does not.)
pub fn serves(path: &str) -> bool {
    path.strip_prefix(GRANTS_PATH).is_some_and(|rest| {
        let is_below = rest.is_empty() || rest.starts_with('/');
        is_below && rest.trim_end_matches('/') != "/consume"
    })
}

impl Action {
    /// Reads method and path.
    pub(super) fn read(method: &Method, path: &str) -> Result<Self, NoAction> {
        let id = path.strip_prefix(GRANTS_PATH).unwrap_or_default();
        let id = id.trim_matches('/');
        let allowed = if id.is_empty() { ALL } else { ONE };
        if method == Method::OPTIONS {
            return Err(NoAction::Options(allowed));
        }
        let is_revoked = method == Method::DELETE;
        if id.is_empty() {
            return match method == Method::GET {
                true => Ok(Self::List),
                false => Err(NoAction::Method(allowed)),
            };
        }
        let id = id.parse().map_err(|_| NoAction::Path)?;
        match method == Method::GET || is_revoked {
            true if is_revoked => Ok(Self::Revoke(id)),
            true => Ok(Self::Show(id)),
            false => Err(NoAction::Method(allowed)),
        }
    }

    /// The grant that is meant.
    pub(super) const fn grant(&self) -> Option<&RequestId> {
        match self {
            Self::List => None,
            Self::Show(id) | Self::Revoke(id) => Some(id),
        }
    }

    /// The path of this action.
    pub(super) fn path(&self) -> String {
        match self.grant() {
            None => GRANTS_PATH.to_owned(),
            Some(id) => format!("{GRANTS_PATH}/{id}"),
        }
    }

    /// The method of this action.
    pub(super) const fn method(&self) -> &'static str {
        match self {
            Self::List | Self::Show(_) => "GET",
            Self::Revoke(_) => "DELETE",
        }
    }

    /// The action in words, which the wallet's owner reads before signing.
    pub(super) fn statement(&self) -> String {
        match self {
            Self::List => {
                "Show what I have bought here, and what is left of it. This costs nothing."
                    .to_owned()
            }
            Self::Show(id) => {
                format!("Show the access {id}, and give me its token. This costs nothing.")
            }
            Self::Revoke(id) => {
                format!(
                    "Take back the access {id}: its token opens nothing any more. No money moves."
                )
            }
        }
    }
}
