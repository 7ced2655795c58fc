//! A value that must not be seen.
//!
//! It is not printed, not serialized and not copied by accident, and its memory is
//! overwritten when it is dropped. Who needs it says so: [`Sensitive::expose`].

use std::fmt;

use zeroize::Zeroizing;

/// Bytes that must not be seen: a secret's value, a key.
#[derive(PartialEq, Eq)]
pub struct Sensitive(Zeroizing<Vec<u8>>);

impl Sensitive {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Sensitive(Zeroizing::new(bytes))
    }

    /// The bytes themselves. For who hands them on to where they belong, nobody else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Another copy, as hidden as this one.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Sensitive(self.0.clone())
    }
}

impl From<&str> for Sensitive {
    fn from(text: &str) -> Self {
        Sensitive::new(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes, hidden]", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_only_how_long_it_is() {
        let shown = format!("{:?} {:#?}", Sensitive::from("hunter2"), Sensitive::from("hunter2"));
        assert_eq!(shown, "[7 bytes, hidden] [7 bytes, hidden]");
    }
}
