//! The operator's view of a grant with limits, and its revocation.

use http::StatusCode;

use crate::error::{Code, Error};
use crate::meter::{MeterCommand, MeterReply, Meters, Revoker, Shown};
use crate::response::{self, Response};
use crate::types::{RequestId, UnixMillis};

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
            let shown = Shown {
                payer: Some(told.payer),
                ..Shown::new(grant, &told, now)
            };
            Ok(response::json(StatusCode::OK, &shown.json()))
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
