//! Escapes the seller's words for Markdown, so that they cannot become markup.

/// A text as part of a line of Markdown.
pub(super) fn text(text: &str) -> String {
    let mut escaped = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !escaped.is_empty() {
            escaped.push(' ');
        }
        for c in word.chars() {
            if "\\`*_[]<>|#~".contains(c) {
                escaped.push('\\');
            }
            escaped.push(c);
        }
    }
    escaped
}

/// A text as one word of a shell command.
pub(super) fn shell(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A text as a string of JavaScript.
pub(super) fn script(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_one_line_without_meaning_of_its_own() {
        assert_eq!(
            text("# One\r\n\n```sh\nrm *\n``` [a](b) <img> a|b "),
            r"\# One \`\`\`sh rm \* \`\`\` \[a\](b) \<img\> a\|b"
        );
    }

    #[test]
    fn a_word_cannot_end_its_quotes() {
        assert_eq!(shell("a'; rm -rf /"), r"'a'\''; rm -rf /'");
        assert_eq!(script("a\"\n"), r#""a\"\n""#);
    }

    proptest! {
        #[test]
        fn no_text_ends_a_line(hostile in r"[\r\n\u{2028}\u{85}`#*\[<a ]{0,40}") {
            let text = text(&hostile);
            prop_assert!(text.lines().count() <= 1);
            prop_assert!(!text.contains("```"), "{text}");
        }
    }
}
