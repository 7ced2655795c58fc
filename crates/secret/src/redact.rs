//! What is shown of a secret to who does not ask for more.

use base64::Engine as _;
use serde_json::Value;

use crate::admit::{BASE64, identity};
use crate::seal::is_sealed;
use crate::{Place, Sealer};

/// What a redacted value begins with, once it is decoded.
const PREFIX: &str = "gapless-redacted:v1:";
/// Told to who decodes one.
const HINT: &str = ":hidden; `gapless get secret NAME --show-secrets` or ?reveal=true shows it";

/// Replaces every value of a stored Secret by one that stands for it. The result is a
/// valid Secret: values are base64, and written back they mean "unchanged".
///
/// Nothing is opened, so this works, and tells nothing, without the right key too.
pub fn redact(secret: &mut Value, sealer: &Sealer) {
    let (namespace, name) = identity(secret);
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    let Some(data) = secret.get_mut("data").and_then(Value::as_object_mut) else { return };
    for (key, value) in data {
        let place = Place { namespace: &namespace, name: &name, key };
        let stored = value.as_str().filter(|value| is_sealed(value));
        // What is not sealed should not be there, and is hidden all the more.
        let tag = stored.map_or_else(|| "0".to_owned(), |stored| sealer.tag(place, stored));
        *value = Value::String(BASE64.encode(format!("{PREFIX}{tag}{HINT}")));
    }
}

/// The tag in a decoded value that stands for another.
pub(crate) fn tag_of(decoded: &[u8]) -> Option<&str> {
    let rest = decoded.strip_prefix(PREFIX.as_bytes())?;
    let end = rest.iter().position(|byte| *byte == b':').unwrap_or(rest.len());
    Some(std::str::from_utf8(&rest[..end]).unwrap_or_default())
}
