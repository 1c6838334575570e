//! Builds HTML in which texts cannot become markup.

use core::fmt;

/// A piece of a page. Only constants of the program become markup; everything else is escaped.
#[derive(Clone, Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Any text.
    pub(super) fn text(text: &str) -> Self {
        let mut html = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '&' => html.push_str("&amp;"),
                '<' => html.push_str("&lt;"),
                '>' => html.push_str("&gt;"),
                '"' => html.push_str("&quot;"),
                '\'' => html.push_str("&#39;"),
                // These characters would change the direction of the text that follows them.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
                c if c.is_control() && !c.is_whitespace() => {}
                c => html.push(c),
            }
        }
        Self(html)
    }

    /// An element. `kind` is its name, with attributes, as a constant of the program.
    pub(super) fn element(kind: &'static str, inside: &Self) -> Self {
        Self(format!("<{kind}>{inside}</{}>", name(kind)))
    }

    /// A link, if the target is a web address or a path; otherwise only the text.
    pub(super) fn link(to: &str, inside: &Self) -> Self {
        match to.starts_with("https://") || to.starts_with("http://") || to.starts_with('/') {
            true => Self(format!(
                "<a href=\"{}\" rel=\"noreferrer\">{inside}</a>",
                Self::text(to)
            )),
            false => inside.clone(),
        }
    }

    /// Markup from a constant of the program.
    pub(super) fn markup(markup: &'static str) -> Self {
        Self(markup.to_owned())
    }

    /// The parts, one after the other.
    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        Self(parts.into_iter().map(|part| part.0).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// The element's name: the first word of `kind`, before the attributes.
fn name(kind: &'static str) -> &'static str {
    kind.split(' ').next().unwrap_or(kind)
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_no_markup() {
        let html = Html::text("<script>\"'&\u{202e}\u{0}</script>\n").into_string();
        assert_eq!(html, "&lt;script&gt;&quot;&#39;&amp;&lt;/script&gt;\n");
        let link = Html::link("javascript:alert(1)", &Html::text("x"));
        assert_eq!(link.into_string(), "x");
        let link = Html::link("https://a.example/\"onclick=\"x", &Html::text("x"));
        assert_eq!(
            link.into_string(),
            "<a href=\"https://a.example/&quot;onclick=&quot;x\" rel=\"noreferrer\">x</a>"
        );
        let element = Html::element("p class=\"x\"", &Html::text("<"));
        assert_eq!(element.into_string(), "<p class=\"x\">&lt;</p>");
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup(hostile in ".{0,60}") {
            let html = Html::text(&hostile).into_string();
            prop_assert!(!html.contains(['<', '>', '"', '\'']), "{html}");
        }
    }
}
