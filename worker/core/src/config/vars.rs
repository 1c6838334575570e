//! Reads variables, one by one, from text into their types, and collects what is wrong with each.

use core::str::FromStr;

use super::problem::Problem;
use crate::types::WalletKey;
use crate::types::{Address, HttpUrl, Secret};

pub(super) const MIN_SECRET_BYTES: usize = 32;

/// A setting as the code that reads it declares it. `docs/settings.md` and `wrangler.toml` must agree with that.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) name: &'static str,
    pub(super) is_required: bool,
    /// The value that is used when the variable is absent, unless that depends on other settings.
    pub(super) default: Option<String>,
    /// The bounds of the value, or the values that are possible.
    pub(super) allowed: Option<String>,
}

/// The variables, and the problems found in them so far.
pub(super) struct Vars<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Every setting that was read, whether it is set or not.
    #[cfg(test)]
    pub(super) declared: Vec<Declared>,
    pub(super) problems: Vec<Problem>,
    /// The variables whose addresses get something unencrypted that others must not read or change.
    pub(super) in_the_clear: Vec<&'static str>,
}

/// The result of reading an optional variable.
pub(super) enum Read<T> {
    Value(T),
    Absent,
    Bad,
}

impl<T> Read<T> {
    pub(super) const fn as_option(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Bad => None,
        }
    }

    pub(super) fn into_option(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Bad => None,
        }
    }
}

impl<'a> Vars<'a> {
    pub(super) const fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            lookup,
            #[cfg(test)]
            declared: Vec::new(),
            problems: Vec::new(),
            in_the_clear: Vec::new(),
        }
    }

    /// The declaration of the setting with this name; a new one if it was not read before.
    #[cfg(test)]
    fn declare(&mut self, name: &'static str) -> &mut Declared {
        let known = self.declared.iter().position(|known| known.name == name);
        let at = known.unwrap_or_else(|| {
            self.declared.push(Declared {
                name,
                is_required: false,
                default: None,
                allowed: None,
            });
            self.declared.len() - 1
        });
        &mut self.declared[at]
    }

    /// Whether a variable has this value, or is a list that has it.
    pub(super) fn lists(&self, name: &str, value: &str) -> bool {
        let text = (self.lookup)(name);
        let mut listed = text.as_deref().into_iter().flat_map(|text| text.split(','));
        listed.any(|one| one.trim() == value) || text.is_some_and(|text| text.trim() == value)
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
        #[cfg(test)]
        self.declare(name);
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
        #[cfg(test)]
        {
            self.declare(name).is_required = true;
        }
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
        #[cfg(test)]
        {
            self.declare(name).default = (!default.is_empty()).then(|| default.to_owned());
        }
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

    /// Reads one of several named values.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        default: &str,
        values: &[(&str, T)],
    ) -> Option<T> {
        #[cfg(test)]
        {
            self.declare(name).allowed = Some(either(values));
        }
        self.parse(name, default, |text| {
            let found = values.iter().find(|(name, _)| *name == text);
            found
                .map(|(_, value)| *value)
                .ok_or_else(|| format!("must be {}", either(values)))
        })
    }

    pub(super) fn flag(&mut self, name: &'static str, default: bool) -> Option<bool> {
        let values = [("true", true), ("false", false)];
        self.choice(name, if default { "true" } else { "false" }, &values)
    }

    /// Reads an address to which something is sent.
    pub(super) fn url(&mut self, name: &'static str) -> Read<HttpUrl> {
        let url = self.optional(name, parsed);
        if let Read::Value(url) = &url {
            self.sends_to(name, url);
        }
        url
    }

    /// Reads addresses to which something is sent.
    pub(super) fn urls(&mut self, name: &'static str, most: usize) -> Vec<HttpUrl> {
        let urls = self.list(name, most, parsed);
        for url in &urls {
            self.sends_to(name, url);
        }
        urls
    }

    /// Notes that others must not read or change what is sent to this address.
    pub(super) fn sends_to(&mut self, name: &'static str, url: &HttpUrl) {
        if url.is_in_the_clear() && !self.in_the_clear.contains(&name) {
            self.in_the_clear.push(name);
        }
    }

    pub(super) fn number(
        &mut self,
        name: &'static str,
        default: u64,
        least: u64,
        most: u64,
    ) -> Option<u64> {
        #[cfg(test)]
        {
            self.declare(name).allowed = Some(format!("{least} to {most}"));
        }
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
        #[cfg(test)]
        {
            self.declare(name).allowed = Some(format!("at most {most_chars} characters"));
        }
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
        #[cfg(test)]
        {
            self.declare(name).allowed = Some(format!("at most {most}"));
        }
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

/// Lists the names of the values for a sentence.
fn either<T>(values: &[(&str, T)]) -> String {
    let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
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
        return Err("has a wrong checksum: a character was changed; copy it again, or write it in lower case"
            .to_owned());
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
