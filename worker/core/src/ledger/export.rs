//! The ledger as CSV (RFC 4180), for spreadsheets and bookkeeping.

use super::entry::LedgerEntry;

/// The header row. Amounts are decimal numbers of USDC, times are ISO 8601 in UTC, and unknown values are empty.
pub const CSV_HEADER: &str = "requestId,status,target,resource,amount,payer,network,transaction,refund,reason,createdAt,changedAt,challengeId,version\r\n";

/// One row for each entry.
pub fn csv(entries: &[LedgerEntry]) -> String {
    let mut text = String::new();
    for entry in entries {
        row(&mut text, entry);
    }
    text
}

fn row(text: &mut String, entry: &LedgerEntry) {
    let hash = |hash: Option<crate::types::B256>| hash.map(|hash| hash.to_string());
    let fields = [
        entry.request_id.to_string(),
        entry.status.to_string(),
        entry.target.clone(),
        entry.resource.to_string(),
        entry.amount.to_string().replacen('$', "", 1),
        entry.payer.to_checksum(None),
        entry.network.caip2().to_owned(),
        hash(entry.transaction).unwrap_or_default(),
        hash(entry.refund).unwrap_or_default(),
        entry.reason.clone().unwrap_or_default(),
        entry.created_at.to_iso(),
        entry.changed_at.to_iso(),
        entry.challenge_id.clone(),
        entry.version.to_string(),
    ];
    for (at, value) in fields.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        field(text, value);
    }
    text.push_str("\r\n");
}

/// The characters with which a cell begins that a spreadsheet takes for a formula.
const FORMULA_STARTS: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

/// Writes one cell. Buyers choose some of the values, and a spreadsheet would run a value that looks like a formula.
/// Such a cell is marked as text by an apostrophe, which spreadsheets do not show.
fn field(text: &mut String, value: &str) {
    let marked;
    let value = match value.starts_with(FORMULA_STARTS) {
        true => {
            marked = format!("'{value}");
            &marked
        }
        false => value,
    };
    if !value.contains(['"', ',', '\r', '\n']) {
        text.push_str(value);
        return;
    }
    text.push('"');
    text.push_str(&value.replace('"', "\"\""));
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::test_support::entry;
    use super::*;
    use crate::types::{B256, UnixMillis, UsdcAmount};

    #[test]
    fn a_row_has_a_field_for_each_name_in_the_header() {
        let mut entry = entry(1, "REFUNDED", 1_767_323_045_678);
        entry.amount = UsdcAmount::from_units(1_234_567);
        entry.changed_at = UnixMillis(1_767_323_046_001);
        entry.transaction = Some(B256::repeat_byte(0xaa));
        let text = csv(core::slice::from_ref(&entry));
        let fields: Vec<&str> = text.trim_end().split(',').collect();
        let names: Vec<&str> = CSV_HEADER.trim_end().split(',').collect();
        assert_eq!(fields.len(), names.len());
        let value = |name| fields[names.iter().position(|known| *known == name).unwrap()];
        assert_eq!(value("requestId"), entry.request_id.as_str());
        assert_eq!(value("amount"), "1.234567");
        assert_eq!(value("createdAt"), "2026-01-02T03:04:05.678Z");
        assert_eq!(value("changedAt"), "2026-01-02T03:04:06.001Z");
        assert_eq!(value("transaction"), B256::repeat_byte(0xaa).to_string());
        assert_eq!(value("refund"), "");
        assert!(text.ends_with("\r\n"));
    }

    #[test]
    fn what_a_spreadsheet_would_calculate_is_marked_as_text() {
        let mut entry = entry(1, "DELIVERED", 1_767_323_045_678);
        entry.resource = "@SUM:A1".parse().unwrap();
        entry.target = "-1".to_owned();
        entry.reason = Some("=HYPERLINK(\"http://x\",\"y\")".to_owned());
        let text = csv(core::slice::from_ref(&entry));
        assert!(text.contains(",'-1,'@SUM:A1,"), "{text}");
        assert!(text.contains(",\"'=HYPERLINK("), "{text}");
        for value in ["=1", "+1", "-1", "@x", "\tx"] {
            let mut text = String::new();
            field(&mut text, value);
            assert_eq!(text, format!("'{value}"));
        }
        let mut text = String::new();
        field(&mut text, "2026-01-02");
        assert_eq!(text, "2026-01-02");
    }

    #[test]
    fn what_would_break_a_row_is_quoted() {
        let mut text = String::new();
        field(&mut text, "a,\"b\"\r\nc");
        assert_eq!(text, "\"a,\"\"b\"\"\r\nc\"");
    }
}
