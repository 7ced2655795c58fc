//! Sealing one value.
//!
//! ```text
//! sealed:v1:KEYID:BASE64( nonce 12 | ciphertext | tag 16 )
//! ```
//!
//! ChaCha20-Poly1305 (RFC 8439) with a random nonce for every value; with one key that is
//! good for some 2^32 values (NIST SP 800-38D, 8.3, has the same bound for a 96-bit random
//! nonce). What is authenticated beside the value is its place, so a sealed value that
//! was moved to another object or key does not open.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gapless_types::Sensitive;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// What a sealed value begins with. Base64 has no `:`, so no written value does.
const PREFIX: &str = "sealed:v1:";
/// Bytes of a MAC that are shown.
const TAG_BYTES: usize = 16;

/// Where a value is: the object and the key in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The object's namespace.
    pub namespace: &'a str,
    /// The object's name.
    pub name: &'a str,
    /// The key.
    pub key: &'a str,
}

impl Place<'_> {
    /// Unambiguous: none of the three holds a `/`.
    fn bytes(&self) -> Vec<u8> {
        format!("gapless secret v1/{}/{}/{}", self.namespace, self.name, self.key).into_bytes()
    }
}

/// Why a sealed value does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// The key that sealed it is not here.
    #[error(
        "{place} was sealed with the key {key}, which is not in the key file: restore the key \
         file that belongs to this data, or write the secret again"
    )]
    NoSuchKey {
        /// Where it is.
        place: String,
        /// The key's name.
        key: String,
    },
    /// It was changed or moved since it was sealed.
    #[error(
        "{place} is not as it was sealed: the stored data was damaged or tampered with; write \
         the secret again"
    )]
    Tampered {
        /// Where it is.
        place: String,
    },
}

/// One key, ready for use.
struct Key {
    id: String,
    aead: LessSafeKey,
    mac: hmac::Key,
}

/// Seals and opens values. Never prints a key.
pub struct Sealer {
    /// The last one seals.
    keys: Vec<Key>,
    random: SystemRandom,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|key| &*key.id).collect();
        f.debug_struct("Sealer").field("keys", &ids).finish_non_exhaustive()
    }
}

impl Sealer {
    /// A sealer with keys of 32 bytes each, at least one, the one that seals last.
    pub(crate) fn new(keys: Vec<Sensitive>) -> Self {
        let keys = keys.iter().filter_map(|key| Key::new(key.expose())).collect();
        Sealer { keys, random: SystemRandom::new() }
    }

    /// A sealer with a key of its own that is nowhere written down: what it seals is lost
    /// with it. For tests and for platforms without a disk.
    ///
    /// # Panics
    /// When the machine gives no random bytes.
    pub fn ephemeral() -> Self {
        let mut key = vec![0; crate::keys::KEY_BYTES];
        SystemRandom::new().fill(&mut key).expect("the machine gives random bytes");
        Sealer::new(vec![Sensitive::new(key)])
    }

    /// The name of the key that seals.
    pub fn newest(&self) -> &str {
        self.keys.last().map_or("", |key| &key.id)
    }

    /// Seals a value for its place.
    ///
    /// # Panics
    /// When the machine gives no random bytes: going on would give a secret away.
    pub fn seal(&self, place: Place<'_>, value: &Sensitive) -> String {
        let key = self.keys.last().expect("a sealer has a key");
        let mut nonce = [0_u8; NONCE_LEN];
        self.random.fill(&mut nonce).expect("the machine gives random bytes");
        let mut sealed = nonce.to_vec();
        let mut text = value.expose().to_vec();
        let aad = Aad::from(place.bytes());
        key.aead
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)
            .expect("a value is far below the cipher's bound");
        sealed.extend(text);
        format!("{PREFIX}{}:{}", key.id, BASE64.encode(sealed))
    }

    /// Opens what was sealed for this place.
    pub fn open(&self, place: Place<'_>, sealed: &str) -> Result<Sensitive, UnsealError> {
        let shown = || {
            let Place { namespace, name, key } = place;
            format!("secret {namespace}/{name}, key {key}")
        };
        let tampered = || UnsealError::Tampered { place: shown() };
        let rest = sealed.strip_prefix(PREFIX).ok_or_else(tampered)?;
        let (id, text) = rest.split_once(':').ok_or_else(tampered)?;
        let key = self
            .keys
            .iter()
            .find(|key| key.id == id)
            .ok_or_else(|| UnsealError::NoSuchKey { place: shown(), key: id.to_owned() })?;
        let mut bytes = BASE64.decode(text).map_err(|_| tampered())?;
        if bytes.len() < NONCE_LEN {
            return Err(tampered());
        }
        let mut body = bytes.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&bytes).map_err(|_| tampered())?;
        let aad = Aad::from(place.bytes());
        let length = key.aead.open_in_place(nonce, aad, &mut body).map_err(|_| tampered())?.len();
        body.truncate(length);
        Ok(Sensitive::new(body))
    }

    /// What stands for a sealed value in its place: 32 hexadecimal digits.
    pub(crate) fn tag(&self, place: Place<'_>, sealed: &str) -> String {
        self.keys.last().map_or_else(String::new, |key| key.tag(place, sealed))
    }

    /// Whether a tag stands for this sealed value in this place, by any of the keys.
    pub(crate) fn is_tag(&self, place: Place<'_>, sealed: &str, tag: &str) -> bool {
        // Who can try tags can write the secret anyway: nothing is learned from the time.
        self.keys.iter().any(|key| key.tag(place, sealed) == tag)
    }
}

/// Whether a stored value is sealed.
pub(crate) fn is_sealed(value: &str) -> bool {
    value.starts_with(PREFIX)
}

/// Whether it is sealed with the key of this name.
pub(crate) fn is_sealed_with(value: &str, key: &str) -> bool {
    let rest = value.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix(key));
    rest.is_some_and(|rest| rest.starts_with(':'))
}

impl Key {
    fn new(key: &[u8]) -> Option<Key> {
        let derive = |what: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), what);
        let id = hex(&derive(b"gapless key id v1").as_ref()[..4]);
        let mac = derive(b"gapless redaction v1");
        let aead = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
        Some(Key { id, aead, mac: hmac::Key::new(hmac::HMAC_SHA256, mac.as_ref()) })
    }

    fn tag(&self, place: Place<'_>, sealed: &str) -> String {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(&place.bytes());
        context.update(b"\0");
        context.update(sealed.as_bytes());
        hex(&context.sign().as_ref()[..TAG_BYTES])
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place { namespace: "shop", name: "api", key: "token" };

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let sealer = Sealer::ephemeral();
        let value = Sensitive::from("hunter2");
        let sealed = sealer.seal(PLACE, &value);
        assert_eq!(sealer.open(PLACE, &sealed).unwrap(), value);
        for other in [
            Place { namespace: "other", ..PLACE },
            Place { name: "other", ..PLACE },
            Place { key: "other", ..PLACE },
        ] {
            assert!(matches!(sealer.open(other, &sealed), Err(UnsealError::Tampered { .. })));
        }
        let empty = sealer.seal(PLACE, &Sensitive::new(Vec::new()));
        assert!(sealer.open(PLACE, &empty).unwrap().is_empty());
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let sealer = Sealer::ephemeral();
        let sealed = sealer.seal(PLACE, &Sensitive::from("hunter2"));
        for index in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(sealer.open(PLACE, &changed).is_err(), "character {index}");
        }
        for cut in 0..sealed.len() {
            assert!(sealer.open(PLACE, &sealed[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn another_key_is_named() {
        let sealed = Sealer::ephemeral().seal(PLACE, &Sensitive::from("x"));
        let error = Sealer::ephemeral().open(PLACE, &sealed).unwrap_err();
        assert!(matches!(&error, UnsealError::NoSuchKey { .. }), "{error}");
        assert!(error.to_string().contains("restore the key file"), "{error}");
    }

    #[test]
    fn equal_values_do_not_look_equal() {
        let sealer = Sealer::ephemeral();
        let value = Sensitive::from("x");
        assert_ne!(sealer.seal(PLACE, &value), sealer.seal(PLACE, &value));
    }
}
