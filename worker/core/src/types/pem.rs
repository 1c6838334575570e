//! PEM (RFC 7468): named binary objects as text.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// More than any key takes, of a whole setting.
const MAX_CHARS: usize = 32 * 1024;
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One object of a PEM text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PemBlock {
    /// Its label, for example `PRIVATE KEY`.
    pub label: String,
    /// The object, in DER.
    pub der: Vec<u8>,
}

/// Reads all objects of a text. Line breaks may be written as `\n`, the way settings often carry them. `None` when the
/// text is anything but whole objects and white space.
pub fn pem_blocks(text: &str) -> Option<Vec<PemBlock>> {
    if text.len() > MAX_CHARS {
        return None;
    }
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let mut rest = text.trim();
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let (label, after) = rest.strip_prefix("-----BEGIN ")?.split_once("-----")?;
        let (body, after) = after.split_once(&format!("-----END {label}-----"))?;
        let body: String = body.split_ascii_whitespace().collect();
        blocks.push(PemBlock {
            label: label.to_owned(),
            der: LENIENT.decode(body).ok()?,
        });
        rest = after.trim_start();
    }
    Some(blocks)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TWO: &str = "-----BEGIN A-----\nAQID\n-----END A-----\n-----BEGIN B KEY-----\nBAUG\nBwg=\n-----END B KEY-----\n";

    #[test]
    fn objects_are_read_in_order_however_their_lines_are_broken() {
        for text in [
            TWO.to_owned(),
            TWO.replace('\n', "\\n"),
            TWO.replace('\n', "\r\n"),
        ] {
            let blocks = pem_blocks(&text).unwrap();
            let labels: Vec<_> = blocks.iter().map(|block| block.label.as_str()).collect();
            assert_eq!(labels, ["A", "B KEY"]);
            assert_eq!(blocks[0].der, [1, 2, 3]);
            assert_eq!(blocks[1].der, [4, 5, 6, 7, 8]);
        }
        assert_eq!(pem_blocks("  \n"), Some(Vec::new()));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "AQID",
            "-----BEGIN A-----AQID",
            "-----BEGIN A-----AQID-----END B-----",
            "-----BEGIN A-----A!-----END A-----",
            "-----BEGIN A-----AQID-----END A-----x",
        ] {
            assert_eq!(pem_blocks(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn hostile_texts_never_panic(text in ".{0,200}") {
            let _ = pem_blocks(&text);
            let _ = pem_blocks(&format!("-----BEGIN A-----{text}-----END A-----"));
        }
    }
}
