//! Which names objects, labels and finalizers may have.

/// Longest DNS label.
pub(super) const LABEL_LEN_MAX: usize = 63;
/// Longest DNS subdomain.
const SUBDOMAIN_LEN_MAX: usize = 253;

/// Which names a kind's objects may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// A DNS label: it becomes part of a host name.
    Label,
    /// A DNS subdomain: labels with dots between.
    Subdomain,
}

impl NameRule {
    /// What is wrong with `name`, if anything.
    pub fn error(self, name: &str) -> Option<&'static str> {
        match self {
            NameRule::Label => dns_label_error(name),
            NameRule::Subdomain => dns_subdomain_error(name),
        }
    }
}

/// What is wrong with `text` as a DNS label (RFC 1123).
pub fn dns_label_error(text: &str) -> Option<&'static str> {
    let is_ok = text.len() <= LABEL_LEN_MAX && is_label(text);
    (!is_ok).then_some(
        "must be 1 to 63 lower-case letters, digits or '-', beginning and ending with a letter \
         or digit (a DNS label, RFC 1123)",
    )
}

/// What is wrong with `text` as a DNS subdomain (RFC 1123).
pub fn dns_subdomain_error(text: &str) -> Option<&'static str> {
    let is_ok = text.len() <= SUBDOMAIN_LEN_MAX && text.split('.').all(is_label);
    (!is_ok).then_some(
        "must be 1 to 253 lower-case letters, digits, '-' or '.', each part beginning and ending \
         with a letter or digit (a DNS subdomain, RFC 1123)",
    )
}

fn is_label(text: &str) -> bool {
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.iter().all(|b| edge(b) || *b == b'-')
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
}

/// What is wrong with `text` as the name of a label, an annotation or a finalizer.
pub fn label_name_error(text: &str) -> Option<&'static str> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let prefix_ok = prefix.is_none_or(|prefix| dns_subdomain_error(prefix).is_none());
    (!prefix_ok || name.is_empty() || !is_label_text(name)).then_some(
        "must be 1 to 63 letters, digits, '-', '_' or '.', beginning and ending with a letter or \
         digit, perhaps after a DNS subdomain and '/'",
    )
}

/// What is wrong with `text` as a label's value.
pub fn label_value_error(text: &str) -> Option<&'static str> {
    (!is_label_text(text)).then_some(
        "must be empty or 1 to 63 letters, digits, '-', '_' or '.', beginning and ending with a \
         letter or digit",
    )
}

fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: &u8| b.is_ascii_alphanumeric();
    bytes.is_empty()
        || (bytes.len() <= LABEL_LEN_MAX
            && bytes.iter().all(|b| edge(b) || matches!(b, b'-' | b'_' | b'.'))
            && bytes.first().is_some_and(edge)
            && bytes.last().is_some_and(edge))
}
