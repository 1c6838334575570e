//! Variables as text, read one by one into what they stand for; what is wrong with each is collected.

use core::str::FromStr;

use super::problem::Problem;
use crate::types::WalletKey;
use crate::types::{Address, HttpUrl, Secret};

const MIN_SECRET_BYTES: usize = 32;

/// The variables, and what was found wrong with them so far.
pub(super) struct Vars<F> {
    lookup: F,
    pub(super) problems: Vec<Problem>,
}

/// What reading an optional variable gave.
pub(super) enum Read<T> {
    Value(T),
    Absent,
    Bad,
}

impl<T> Read<T> {
    pub(super) fn into_option(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Bad => None,
        }
    }
}

impl<F: Fn(&str) -> Option<String>> Vars<F> {
    pub(super) const fn new(lookup: F) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
        }
    }

    pub(super) fn problem(&mut self, name: &'static str, reason: impl Into<String>) {
        self.problems.push(Problem {
            name,
            reason: reason.into(),
        });
    }

    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Read<T> {
        let text = (self.lookup)(name);
        let Some(text) = text
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())
        else {
            return Read::Absent;
        };
        match parse(text) {
            Ok(value) => Read::Value(value),
            Err(reason) => {
                self.problem(name, reason);
                Read::Bad
            }
        }
    }

    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.optional(name, parse) {
            Read::Value(value) => Some(value),
            Read::Absent => {
                self.problem(name, "is required");
                None
            }
            Read::Bad => None,
        }
    }

    pub(super) fn parse<T>(
        &mut self,
        name: &'static str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.optional(name, &parse) {
            Read::Value(value) => Some(value),
            Read::Absent => match parse(default) {
                Ok(value) => Some(value),
                Err(reason) => {
                    self.problem(name, reason);
                    None
                }
            },
            Read::Bad => None,
        }
    }

    pub(super) fn number(
        &mut self,
        name: &'static str,
        default: u64,
        least: u64,
        most: u64,
    ) -> Option<u64> {
        self.parse(name, &default.to_string(), |text| {
            text.parse()
                .ok()
                .filter(|number| (least..=most).contains(number))
                .ok_or_else(|| format!("must be a whole number from {least} to {most}"))
        })
    }

    pub(super) fn text(
        &mut self,
        name: &'static str,
        default: &str,
        most_chars: usize,
    ) -> Option<String> {
        self.parse(name, default, |text| {
            (text.chars().count() <= most_chars && !text.chars().any(char::is_control))
                .then(|| text.to_owned())
                .ok_or_else(|| format!("must be one line of at most {most_chars} characters"))
        })
    }

    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        most: usize,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let read = self.optional(name, |text| {
            let items: Vec<&str> = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .collect();
            if items.len() > most {
                return Err(format!("must list at most {most} values"));
            }
            items
                .into_iter()
                .map(&parse)
                .collect::<Result<Vec<T>, String>>()
        });
        read.into_option().unwrap_or_default()
    }
}

pub(super) fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

pub(super) fn address(text: &str) -> Result<Address, String> {
    let address: Address = text
        .parse()
        .map_err(|_| "must be an address: 0x and 40 hex digits".to_owned())?;
    let mixed = text.bytes().any(|b| b.is_ascii_lowercase() && b != b'x')
        && text.bytes().any(|b| b.is_ascii_uppercase());
    if mixed && address.to_checksum(None) != text {
        return Err("has a wrong checksum: a character was changed".to_owned());
    }
    if address.is_zero() {
        return Err("must not be the zero address".to_owned());
    }
    Ok(address)
}

pub(super) fn private_key(text: &str) -> Result<WalletKey, String> {
    WalletKey::from_hex(text)
        .ok_or_else(|| "must be a private key: 0x and 64 hex digits".to_owned())
}

pub(super) fn secret(text: &str) -> Result<Secret, String> {
    if text.contains("-----BEGIN") {
        return Err("must be a shared secret, not a PEM key".to_owned());
    }
    (text.len() >= MIN_SECRET_BYTES)
        .then(|| Secret::new(text))
        .ok_or_else(|| {
            format!(
                "must have at least {MIN_SECRET_BYTES} characters; `openssl rand -hex 32` makes one"
            )
        })
}

pub(super) fn secret_in_list(text: &str) -> Result<Secret, String> {
    secret(text)
        .map_err(|_| format!("must list secrets of at least {MIN_SECRET_BYTES} characters each"))
}

pub(super) fn named<'a>(
    name: &'static str,
    urls: impl IntoIterator<Item = &'a HttpUrl>,
) -> impl Iterator<Item = (&'static str, &'a HttpUrl)> {
    urls.into_iter().map(move |url| (name, url))
}

pub(super) fn template_sample(text: &str) -> Result<HttpUrl, String> {
    parsed(&text.replace("{resourceId}", "default"))
}

pub(super) fn resource_template(text: &str) -> Result<String, String> {
    match template_sample(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!(
            "{error} (`{{resourceId}}` may stand for the resource)"
        )),
    }
}
