//! The operator's view of a grant with limits, and its revocation.

use http::StatusCode;

use crate::error::{Code, Error};
use crate::meter::{MeterCommand, MeterReply, Meters, Revoker, Shown};
use crate::response::{self, Response};
use crate::types::{Address, RequestId, UnixMillis};

#[derive(serde::Serialize)]
struct Seen<'a> {
    #[serde(flatten)]
    shown: Shown<'a>,
    payer: Address,
}

/// How a grant stands; with `revokes`, after it was taken back.
pub(super) async fn answer<O: Meters>(
    objects: &O,
    grant: &str,
    revokes: bool,
    now: UnixMillis,
) -> Result<Response, Error> {
    let command = match revokes {
        true => MeterCommand::Revoke(Revoker::Operator),
        false => MeterCommand::Look,
    };
    if grant.parse::<RequestId>().is_err() {
        return Err(unknown());
    }
    match objects.ask(grant, &command).await {
        Ok(MeterReply::Stands(told)) => {
            let seen = Seen {
                shown: Shown::new(grant, &told, now),
                payer: told.payer,
            };
            Ok(response::json(StatusCode::OK, &seen))
        }
        Ok(MeterReply::NotGranted) => Err(unknown()),
        _ => Err(Error::internal()),
    }
}

fn unknown() -> Error {
    Error::new(
        Code::NotFound,
        "No access with limits was delivered under this request id, or it has ended long ago. Access without limits is not counted, and cannot be taken back.",
    )
}
