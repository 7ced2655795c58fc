//! Reads Prometheus' text exposition format, as far as `top` needs it: samples
//! with their labels. Comments, types and timestamps are passed over.

use std::collections::BTreeMap;

/// One measured value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// The metric's name.
    pub(crate) name: String,
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Its value.
    pub(crate) value: f64,
}

impl Sample {
    /// A label's value; empty when it is not there.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// The samples of `text`; a line that is not one is passed over.
pub(crate) fn read(text: &str) -> Vec<Sample> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let name = line[..end].to_owned();
    let mut labels = BTreeMap::new();
    let rest = match line[end..].strip_prefix('{') {
        Some(inside) => read_labels(inside, &mut labels)?,
        None => &line[end..],
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name, labels, value })
}

/// Reads `a="b",c="d"} ...` and returns what is behind the brace.
fn read_labels<'a>(mut text: &'a str, labels: &mut BTreeMap<String, String>) -> Option<&'a str> {
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some(rest);
        }
        let (name, rest) = text.split_once("=\"")?;
        let (value, rest) = read_quoted(rest)?;
        labels.insert(name.trim().to_owned(), value);
        text = rest;
    }
}

/// Reads up to the closing quote and undoes escapes.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let text = "# HELP a b\n# TYPE a counter\na_total{f=\"x/y\",r=\"say \\\"hi\\\"\\n\"} 3 170\n\
                    b 2.5\nbroken{x=\"1\n\nc{} NaN\n# EOF\n";
        let samples = read(text);
        assert_eq!(samples.len(), 3);
        assert_eq!(samples[0].label("f"), "x/y");
        assert_eq!(samples[0].label("r"), "say \"hi\"\n");
        assert_eq!(samples[0].value, 3.0);
        assert_eq!((samples[1].name.as_str(), samples[1].value), ("b", 2.5));
        assert!(samples[2].value.is_nan());
    }
}
