//! `Secret`: values that are sealed in the store and shown only to who asks.
//!
//! What is worked with is the stored, sealed form, so that no clear value is in memory
//! longer than its request. A patch may be made over what was shown: a value that was
//! hidden then and comes back is recognised as unchanged (`gapless_secret`).

use gapless_declared::{Admission, Hold, Outcome, Resource};
use gapless_objects::Descriptor;
use gapless_objects::kinds::SECRET;
use gapless_secret::{admit_secret, redact, unseal};
use gapless_types::FieldError;
use serde_json::Value;

use super::Owner;

/// The kind at work.
#[derive(Debug)]
pub(crate) struct Secrets(pub(super) Owner);

impl Resource for Secrets {
    fn descriptor(&self) -> &'static Descriptor {
        &SECRET
    }

    fn admit(&self, admission: &mut Admission<'_>) -> Outcome<Result<Hold, Vec<FieldError>>> {
        let control = self.0.require()?;
        let sealer = control.sealer();
        // Held until the write is decided: a rotation waits for what old keys sealed.
        Ok(admit_secret(admission.new, admission.old, &sealer)
            .map(|()| Some(Box::new(sealer) as _)))
    }

    fn show(&self, object: &mut Value, is_revealed: bool) {
        let Some(control) = self.0.get() else { return };
        if !is_revealed {
            return redact(object, &control.sealer());
        }
        if let Err(error) = unseal(object, &control.sealer()) {
            tracing::error!(%error, "a stored secret cannot be opened");
            redact(object, &control.sealer());
        }
    }
}
