//! The spellings in which programs print a value.

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use serde_json::json;

/// A shorter text proves nothing, because it is part of many other texts.
const TELLING: usize = 8;

/// Every spelling of a value that is long enough to be distinctive, with a name; each spelling once.
pub(crate) fn spellings(value: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text = String::from_utf8_lossy(value);
    let texts = [
        ("plain", text.to_string()),
        ("JSON", json_of(&text)),
        ("debug", text.escape_debug().to_string()),
        ("debug in ASCII", text.escape_default().to_string()),
        ("bytes", value.escape_ascii().to_string()),
    ];
    let written = texts.into_iter().flat_map(|(name, text)| {
        let (serde, go) = (json_of(&text), go_json_of(&text));
        [
            (format!("{name} in serde's JSON, twice"), json_of(&serde)),
            (format!("{name} in serde's JSON"), serde),
            (format!("{name} in Go's JSON, twice"), go_json_of(&go)),
            (format!("{name} in Go's JSON"), go),
            (format!("{name} in Python's JSON"), ascii_json_of(&text)),
            (name.to_owned(), text),
        ]
    });
    let percent = |byte: u8| format!("%{byte:02X}");
    let form = |byte: u8| {
        if byte == b' ' {
            "+".to_owned()
        } else {
            percent(byte)
        }
    };
    let lists = [
        ("hex", each(value, "", |byte| format!("{byte:02x}"))),
        ("HEX", each(value, "", |byte| format!("{byte:02X}"))),
        ("hex list", each(value, ", ", |byte| format!("{byte:x}"))),
        ("decimal list", each(value, ", ", |byte| byte.to_string())),
        (
            "dense decimal list",
            each(value, ",", |byte| byte.to_string()),
        ),
        ("URL", url(value, "", percent)),
        ("url", url(value, "", |byte| format!("%{byte:02x}"))),
        ("URL's path", url(value, "!$&'()*+,;=:@/?", percent)),
        ("URL's form", url(value, "", form)),
    ];
    // Base64 of the value at any offset in a longer text: only the groups of three bytes within the value
    // count.
    let base64 = (0..3.min(value.len())).flat_map(|start| {
        let whole = (value.len() - start) / 3 * 3;
        let base64 = json!(ByteString(value[start..start + whole].to_vec()));
        let base64 = base64.as_str().expect("a string").to_owned();
        let for_urls = base64.replace('+', "-").replace('/', "_");
        [("base64", base64), ("base64url", for_urls)]
    });
    let named = |(name, text): (&str, String)| (name.to_owned(), text);
    let mut found: Vec<_> = (lists.into_iter().chain(base64).map(named))
        .chain(written)
        .map(|(name, spelling)| (name, spelling.into_bytes()))
        .chain([("raw".to_owned(), value.to_vec())])
        .filter(|(_, spelling)| spelling.len() >= TELLING)
        .collect();
    // Keeps the shortest name of each spelling.
    found.sort_by_key(|(name, _)| name.len());
    let mut seen = BTreeSet::new();
    found.retain(|(_, spelling)| seen.insert(spelling.clone()));
    found
}

fn each(bytes: &[u8], between: &str, write: impl Fn(u8) -> String) -> String {
    let written: Vec<_> = bytes.iter().copied().map(write).collect();
    written.join(between)
}

fn url(bytes: &[u8], kept: &str, escape: impl Fn(u8) -> String) -> String {
    let is_kept = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || kept.as_bytes().contains(&byte)
    };
    each(bytes, "", |byte| match byte {
        byte if is_kept(byte) => char::from(byte).to_string(),
        byte => escape(byte),
    })
}

fn json_of(text: &str) -> String {
    let quoted = json!(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// JSON as Go writes it, such as the API server and its audit log.
fn go_json_of(text: &str) -> String {
    let escaped = |c: char| match c {
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    json_of(text).chars().map(escaped).collect()
}

/// JSON as Python writes it.
fn ascii_json_of(text: &str) -> String {
    let escaped = |c: char| match c {
        c if c.is_ascii() => c.to_string(),
        c => {
            let mut units = [0; 2];
            let units: Vec<_> = (c.encode_utf16(&mut units).iter())
                .map(|unit| format!("\\u{unit:04x}"))
                .collect();
            units.concat()
        }
    };
    json_of(text).chars().map(escaped).collect()
}
