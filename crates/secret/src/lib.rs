//! Secrets and configs: what may be written, how secrets are kept, what is shown.
//!
//! A Secret has three forms, and only the first two leave this process or reach a disk:
//!
//! ```text
//!  written   data: base64, stringData: text, or a redacted value given back
//!     │ admit_secret (checks; folds; keeps what has not changed; seals)
//!     v
//!  stored    data: sealed:v1:KEYID:...        ── redact ──> shown, without opening anything
//!     │ unseal                                  data: base64 of gapless-redacted:v1:TAG:...
//!     v
//!  revealed  data: base64, for who asked with `?reveal=true`
//! ```
//!
//! **A redacted value given back is the value itself.** `kubectl edit` and `kubectl apply`
//! read an object, change something else and write the whole back. So what stands for a
//! value names it: a MAC over the object, the key and the sealed value as it is stored.
//! Given back while that value is still the current one, it means "unchanged"; given back
//! later, or in another place, it is refused and never stored as if it were a value.
//!
//! **An unchanged value is not sealed again**, so that a write that changes nothing changes
//! nothing in the store, and what was shown before stays good.
//!
//! `kubectl apply` keeps a copy of the whole manifest in an annotation. It uses only the
//! names of the keys in it, so admission takes the values out.
//!
//! What always holds: no value of a secret is in `Debug`, in an error, or in the stored
//! form; a sealed value opens only for the object and key it was sealed for.

mod admit;
mod config;
mod keys;
mod kubectl;
mod redact;
mod seal;
mod secret;

pub use config::{admit_config_map, config_entries};
pub use keys::{KeyError, KeyFile};
pub use redact::redact;
pub use seal::{Place, Sealer, UnsealError};
pub use secret::{admit_secret, is_sealed_with_newest, reseal, secret_entries, unseal};

/// The query parameter with which a client asks for a secret's values: `?reveal=true`.
/// `kubectl get --raw '/api/v1/namespaces/NS/secrets/NAME?reveal=true'` sends it.
pub const REVEAL_PARAMETER: &str = "reveal";

/// Most bytes of values one object may hold (Kubernetes: `MaxSecretSize`).
pub const OBJECT_BYTES_MAX: usize = 1 << 20;
