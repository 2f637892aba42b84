//! Reads numbers from the text of `/metrics`.

/// The sum of all samples of `name` with all these labels. `None` if there is no such sample; a sample of
/// zero is `Some(0.0)`.
pub(crate) fn value(exposition: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut sum = None;
    for (sample_name, sample_labels, value) in samples(exposition) {
        let carries = |(name, value): &(&str, &str)| {
            sample_labels
                .iter()
                .any(|(label, its)| label == name && its == value)
        };
        if sample_name == name && labels.iter().all(carries) {
            sum = Some(sum.unwrap_or(0.0) + value);
        }
    }
    sum
}

/// Every sample: name, labels and value.
pub(crate) fn samples(exposition: &str) -> impl Iterator<Item = (&str, Labels, f64)> {
    let lines = exposition.lines();
    lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(sample)
}

pub(crate) type Labels = Vec<(String, String)>;

/// Splits `name{label="value",..} 1.0` into its parts.
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    let (name, rest) = line.split_at(line.find(['{', ' '])?);
    let Some(mut rest) = rest.strip_prefix('{') else {
        return Some((name, Vec::new(), first_number(rest)?));
    };
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((name, labels, first_number(rest)?));
        }
        let (label, quoted) = rest.split_once("=\"")?;
        let (value, after) = unquote(quoted)?;
        labels.push((label.to_owned(), value));
        rest = after;
    }
}

/// The value up to its closing quote, and the rest.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

/// A timestamp or an exemplar may follow the value.
fn first_number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}
