//! The text form of key files (RFC 7468): one or more blocks, and nothing between them but white space.

use base64_simd::STANDARD;

/// A block's label and its bytes.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Block<'t> {
    pub(crate) label: &'t str,
    pub(crate) der: Vec<u8>,
}

/// Longest text that is read: eight keys of 8192 bits, with room.
const MAX_LEN: usize = 32 * 1024;

/// The blocks of a PEM text. Line ends may be written `\n`, as settings often carry them.
pub(crate) fn read(text: &str) -> Option<Vec<Block<'_>>> {
    if text.len() > MAX_LEN {
        return None;
    }
    let mut blocks = Vec::new();
    let mut rest = trim_start(text);
    while !rest.is_empty() {
        let (label, body) = rest.strip_prefix("-----BEGIN ")?.split_once("-----")?;
        let (body, after) = body.split_once("-----END ")?;
        rest = trim_start(after.strip_prefix(label)?.strip_prefix("-----")?);
        let symbols: String = body
            .replace("\\r", "")
            .replace("\\n", "")
            .split_ascii_whitespace()
            .collect();
        let der = STANDARD.decode_to_vec(symbols).ok()?;
        blocks.push(Block { label, der });
    }
    Some(blocks)
}

fn trim_start(mut text: &str) -> &str {
    loop {
        let trimmed = text.trim_ascii_start();
        let trimmed = trimmed
            .strip_prefix("\\n")
            .or_else(|| trimmed.strip_prefix("\\r"))
            .unwrap_or(trimmed);
        if trimmed.len() == text.len() {
            return text;
        }
        text = trimmed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_in_either_way_of_writing_line_ends() {
        let one = "-----BEGIN A KEY-----\nAAEC\nAwQF\n-----END A KEY-----\n";
        let block = || Block {
            label: "A KEY",
            der: vec![0, 1, 2, 3, 4, 5],
        };
        assert_eq!(read(one), Some(vec![block()]));
        assert_eq!(read(&one.replace('\n', "\r\n")), Some(vec![block()]));
        assert_eq!(read(&one.replace('\n', "\\n")), Some(vec![block()]));
        assert_eq!(
            read(&format!("\n {one}\\n{one}")),
            Some(vec![block(), block()])
        );
        assert_eq!(read(" \n"), Some(vec![]));
    }

    #[test]
    fn what_is_not_pem_is_refused() {
        for text in [
            "x",
            "-----BEGIN A-----",
            "-----BEGIN A-----\nAAEC\n-----END B-----",
            "-----BEGIN A-----\nAAE\n-----END A-----",
            "-----BEGIN A-----\nAA-_\n-----END A-----",
            "-----BEGIN A-----\nAAEC\n-----END A-----\nx",
            "x\n-----BEGIN A-----\nAAEC\n-----END A-----",
            "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAAEC\n-----END A-----",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&" ".repeat(MAX_LEN + 1)), None);
    }
}
