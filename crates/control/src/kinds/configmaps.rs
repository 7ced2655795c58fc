//! `ConfigMap`: values that functions read, and that are no secret.

use gapless_declared::{Admission, Hold, Outcome, Resource};
use gapless_objects::Descriptor;
use gapless_objects::kinds::CONFIG_MAP;
use gapless_secret::admit_config_map;
use gapless_types::FieldError;

/// The kind at work.
#[derive(Debug)]
pub(crate) struct ConfigMaps;

impl Resource for ConfigMaps {
    fn descriptor(&self) -> &'static Descriptor {
        &CONFIG_MAP
    }

    fn admit(&self, admission: &mut Admission<'_>) -> Outcome<Result<Hold, Vec<FieldError>>> {
        Ok(admit_config_map(admission.new, admission.old).map(|()| None))
    }
}
