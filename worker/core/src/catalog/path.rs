//! Paths of routes, such as `/api/weather/:city`: which requests match them, and what path is forwarded for a request.

use core::fmt;
use core::str::FromStr;

use super::request_path::RequestPath;

const MAX_CHARS: usize = 128;

/// A path with parameters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathTemplate {
    segments: Vec<Segment>,
    ends_in_slash: bool,
}

/// A part between slashes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// Any text, under this name.
    Parameter(String),
}

/// Why a text is no template. The text is the end of a sentence whose subject is the path.
pub(super) type PathFault = &'static str;

impl PathTemplate {
    /// The parts between slashes.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The path that is forwarded for a request: this template's own spelling, with the request's values for the
    /// parameters. `None` when the request's path does not match.
    pub(super) fn fill(&self, path: &RequestPath, is_case_sensitive: bool) -> Option<String> {
        let parts = path.parts();
        if parts.len() != self.segments.len()
            || (is_case_sensitive && path.ends_in_slash() != self.ends_in_slash)
        {
            return None;
        }
        let mut filled = String::new();
        for (segment, part) in self.segments.iter().zip(parts) {
            filled.push('/');
            match segment {
                Segment::Parameter(_) => filled.push_str(&part.normal),
                Segment::Literal(text) if is_same(text, &part.text, is_case_sensitive) => {
                    filled.push_str(text);
                }
                Segment::Literal(_) => return None,
            }
        }
        if self.ends_in_slash {
            filled.push('/');
        }
        Some(filled)
    }

    /// The rank of this template among those that match the same path: the smallest wins. The segments are compared
    /// from left to right, and a literal goes before a parameter.
    pub(super) fn rank(&self) -> impl Iterator<Item = bool> {
        self.segments
            .iter()
            .map(|segment| matches!(segment, Segment::Parameter(_)))
    }

    /// Whether some path matches both templates and neither has precedence. A flag with each tells whether its match is
    /// case-sensitive.
    pub(super) fn is_ambiguous_with(
        &self,
        is_case_sensitive: bool,
        (other, is_other_case_sensitive): (&Self, bool),
    ) -> bool {
        let is_exact = is_case_sensitive && is_other_case_sensitive;
        let mut pairs = self.segments.iter().zip(&other.segments);
        self.segments.len() == other.segments.len()
            && (!is_exact || self.ends_in_slash == other.ends_in_slash)
            && pairs.all(|pair| match pair {
                (Segment::Literal(one), Segment::Literal(two)) => is_same(one, two, is_exact),
                (Segment::Parameter(_), Segment::Parameter(_)) => true,
                _ => false,
            })
    }
}

/// Whether two texts are equal, with or without regard to case. A template's text is ASCII, so only ASCII letters
/// matter.
fn is_same(one: &str, two: &str, is_case_sensitive: bool) -> bool {
    match is_case_sensitive {
        true => one == two,
        false => one.eq_ignore_ascii_case(two),
    }
}

/// Writes the path as the seller has written it.
impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Parameter(name) => write!(f, "/:{name}")?,
            }
        }
        f.write_str(if self.ends_in_slash { "/" } else { "" })
    }
}

impl FromStr for PathTemplate {
    type Err = PathFault;

    fn from_str(text: &str) -> Result<Self, PathFault> {
        let Some(path) = text.strip_prefix('/') else {
            return Err("must begin with a slash, like \"/api/weather/:city\"");
        };
        if text.len() > MAX_CHARS {
            return Err("has more than 128 characters");
        }
        for (strange, fault) in [
            (
                &['?', '#'][..],
                "must have no query: each call's own is passed on",
            ),
            (
                &['*'],
                "has a wildcard; list each path, with :name for a part that varies",
            ),
            (&['{', '}'], "has braces; a parameter is written :name"),
        ] {
            if text.contains(strange) {
                return Err(fault);
            }
        }
        if path.is_empty() {
            return Err("must not be \"/\": that path is the worker's own");
        }
        let (path, ends_in_slash) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, false),
        };
        let segments: Vec<Segment> = path.split('/').map(segment).collect::<Result<_, _>>()?;
        let mut names = Vec::new();
        for segment in &segments {
            if let Segment::Parameter(name) = segment {
                if names.contains(&name) {
                    return Err("has two parameters of one name");
                }
                names.push(name);
            }
        }
        Ok(Self {
            segments,
            ends_in_slash,
        })
    }
}

fn segment(text: &str) -> Result<Segment, PathFault> {
    if let Some(name) = text.strip_prefix(':') {
        let is_word = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        return match name.bytes().next() {
            Some(first) if is_word && !first.is_ascii_digit() => {
                Ok(Segment::Parameter(name.to_owned()))
            }
            _ => Err(
                "has a parameter that is not a whole part of the path: a colon, and then letters, digits and _ up to the next slash, no digit first",
            ),
        };
    }
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~@:".contains(&byte));
    match text {
        "" => Err("has nothing between two slashes"),
        "." | ".." => Err("must not have . or .. between slashes"),
        _ if is_plain => Ok(Segment::Literal(text.to_owned())),
        _ => Err("must have only letters, digits and - . _ ~ @ : between its slashes"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn template(text: &str) -> PathTemplate {
        text.parse().unwrap()
    }

    #[test]
    fn a_template_has_literals_and_parameters_and_is_shown_as_it_was_written() {
        let path = template("/api/weather/:city");
        assert_eq!(
            path.segments(),
            [
                Segment::Literal("api".to_owned()),
                Segment::Literal("weather".to_owned()),
                Segment::Parameter("city".to_owned()),
            ]
        );
        for text in [
            "/a",
            "/a/",
            "/:a/b",
            "/:a_1/:B",
            "/v1/models/m:predict",
            "/a.b/~c@2-d_e",
            "/a/...",
        ] {
            assert_eq!(template(text).to_string(), text);
        }
    }

    #[test]
    fn a_text_that_is_no_template_is_refused_with_the_reason() {
        for (text, part) in [
            ("", "begin with a slash"),
            ("api/x", "begin with a slash"),
            ("/", "must not be \"/\""),
            ("//", "nothing between two slashes"),
            ("/a//b", "nothing between two slashes"),
            ("/a//", "nothing between two slashes"),
            ("/a/./b", ". or .."),
            ("/..", ". or .."),
            ("/a?b=1", "no query"),
            ("/a#b", "no query"),
            ("/a/*", "wildcard"),
            ("/a/{b}", "braces"),
            ("/a/:", "a whole part of the path"),
            ("/a/:1b", "a whole part of the path"),
            ("/a/:b.json", "a whole part of the path"),
            ("/a/:b-:c", "a whole part of the path"),
            ("/a/:b/c/:b", "two parameters of one name"),
            ("/a b", "only letters"),
            ("/a%20b", "only letters"),
            ("/a;b", "only letters"),
            ("/a\\b", "only letters"),
            ("/\u{e4}", "only letters"),
        ] {
            let fault = text.parse::<PathTemplate>().unwrap_err();
            assert!(fault.contains(part), "{text}: {fault}");
        }
        let long = format!("/{}", "a".repeat(127));
        assert!(long.parse::<PathTemplate>().is_ok());
        assert!(format!("{long}a").parse::<PathTemplate>().is_err());
    }

    #[test]
    fn templates_are_ambiguous_when_one_path_could_mean_either() {
        // Two templates, each with whether it is case-sensitive; and whether they are ambiguous.
        for (one, two, is_ambiguous) in [
            (("/a", false), ("/a", false), true),
            (("/a", false), ("/A", false), true),
            (("/a", false), ("/a/", false), true),
            (("/a/:x", false), ("/a/:y", false), true),
            (("/a", false), ("/b", false), false),
            (("/a", false), ("/a/b", false), false),
            (("/a/b", false), ("/a/:x", false), false),
            (("/:x/b", false), ("/a/:y", false), false),
            (("/a", true), ("/A", true), false),
            (("/a", true), ("/a/", true), false),
            (("/a", true), ("/a", true), true),
            (("/a", true), ("/A", false), true),
            (("/a", true), ("/a/", false), true),
        ] {
            let (first, second) = (template(one.0), template(two.0));
            let found = first.is_ambiguous_with(one.1, (&second, two.1));
            assert_eq!(found, is_ambiguous, "{one:?} {two:?}");
            let found = second.is_ambiguous_with(two.1, (&first, one.1));
            assert_eq!(found, is_ambiguous, "{two:?} {one:?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_templates_never_panic(text in ".{0,200}") {
            let _ = text.parse::<PathTemplate>();
        }

        #[test]
        fn a_template_is_read_as_it_is_shown(text in "(/(:[a-z]|[a-zA-Z:.~@-]{1,4})){1,5}/?") {
            if let Ok(read) = text.parse::<PathTemplate>() {
                prop_assert_eq!(read.to_string(), text);
            }
        }
    }
}
