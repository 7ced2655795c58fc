//! Permits: may what was chosen stand, as a whole?
//! One policy per file; [`registry`](crate::registry) lists them.

mod gang;
mod tenant_quota;

pub use gang::Gang;
pub use tenant_quota::TenantQuota;
