//! The parameters of the operator's questions. A misspelt parameter is refused, because the answer without it would
//! look right and be to another question.

use url::form_urlencoded;

use crate::error::Error;
use crate::ledger::{Cursor, Days, UtcDay};
use crate::types::Status;

const MAX_LIMIT: usize = 500;

/// The parsed parameters of a question.
#[derive(Debug, Default)]
pub(super) struct Query {
    status: Option<Status>,
    limit: Option<usize>,
    cursor: Option<Cursor>,
    from: Option<UtcDay>,
    to: Option<UtcDay>,
}

impl Query {
    /// Parses the query string of a URL.
    pub(super) fn parse(text: &str, understood: &[&str]) -> Result<Self, Error> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if !understood.contains(&name.as_ref()) {
                let message = match understood {
                    [] => "This path takes no parameters.".to_owned(),
                    _ => format!("This path understands {} only.", understood.join(", ")),
                };
                return Err(Error::invalid_request(message));
            }
            query.set(&name, &value)?;
        }
        if query.days().from > query.days().to {
            return Err(Error::invalid_request("from must not be later than to."));
        }
        Ok(query)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let day = || {
            value.parse().map_err(|_| {
                Error::invalid_request(format!("{name} must be a day like 2026-01-31."))
            })
        };
        match name {
            "status" => {
                let status = value.parse().map_err(|_| {
                    let all = Status::ALL.map(Status::as_str).join(", ");
                    Error::invalid_request(format!("status must be one of {all}."))
                })?;
                self.status = Some(status);
            }
            "limit" => {
                let limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=MAX_LIMIT).contains(limit));
                self.limit = Some(limit.ok_or_else(|| {
                    Error::invalid_request(format!(
                        "limit must be a whole number from 1 to {MAX_LIMIT}."
                    ))
                })?);
            }
            "cursor" => {
                let cursor = value.parse().map_err(|_| {
                    Error::invalid_request(
                        "cursor must be what an earlier page gave as its next one.",
                    )
                })?;
                self.cursor = Some(cursor);
            }
            "from" => self.from = Some(day()?),
            "to" => self.to = Some(day()?),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn status(&self) -> Option<Status> {
        self.status
    }

    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.cursor.clone()
    }

    pub(super) fn limit_or(&self, usual: usize) -> usize {
        self.limit.unwrap_or(usual)
    }

    /// The days from the first one named to the last; all days if none was named.
    pub(super) fn days(&self) -> Days {
        Days {
            from: self.from.unwrap_or(UtcDay::FIRST),
            to: self.to.unwrap_or(UtcDay::LAST),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [&str; 5] = ["status", "limit", "cursor", "from", "to"];

    #[test]
    fn parameters_are_read() {
        let query =
            Query::parse("status=PAID&limit=7&from=2026-01-01&to=2026-01-01", &ALL).unwrap();
        assert_eq!(query.status(), Some(Status::Paid));
        assert_eq!(query.limit_or(50), 7);
        assert_eq!(query.days().from, query.days().to);
        assert_eq!(Query::parse("", &[]).unwrap().days(), Days::ALL);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "state=PAID",
            "status=paid",
            "status=",
            "limit=0",
            "limit=501",
            "limit=-1",
            "limit=1e2",
            "cursor=x",
            "from=yesterday",
            "from=2026-01-02&to=2026-01-01",
        ] {
            assert!(Query::parse(text, &ALL).is_err(), "{text}");
        }
        assert!(Query::parse("limit=1", &["status"]).is_err());
    }

    proptest! {
        #[test]
        fn hostile_text_never_panics(text in ".{0,100}") {
            let _ = Query::parse(&text, &ALL);
        }
    }
}
