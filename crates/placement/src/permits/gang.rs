//! A group is placed whole or not at all (Volcano, gang; Kubernetes, Coscheduling):
//! half of a group that waits for its other half holds room that another whole group
//! could use, and two such halves wait for ever.

use crate::policy::{Lot, Permit, Policy, Verdict};
use crate::profile::{ParamError, Params};

/// All or nothing, for requests that belong together.
#[derive(Debug)]
pub struct Gang;

impl Policy for Gang {
    const NAME: &'static str = "gang";
    const SUMMARY: &'static str = "a group is placed whole or not at all";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(Gang)
    }
}

impl Permit for Gang {
    fn permit(&self, lot: &Lot<'_>) -> Verdict {
        if !lot.is_group || lot.placed == lot.wanted {
            return Verdict::Allow;
        }
        let (placed, wanted) = (lot.placed, lot.wanted);
        Verdict::Keep(0, format!("only {placed} of its group of {wanted} have room"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn only_incomplete_groups_are_refused() {
        let mut lab = Lab::new();
        let shape = lab.shape("a/f", |_| {});
        let shape = lab.cluster.shape(shape).unwrap();
        let lot = |is_group, placed| Lot {
            state: lab.cluster.state(),
            shape,
            tenant_instances: 0,
            is_group,
            wanted: 3,
            placed,
        };
        assert_eq!(Gang.permit(&lot(false, 2)), Verdict::Allow);
        assert_eq!(Gang.permit(&lot(true, 3)), Verdict::Allow);
        let refused = Verdict::Keep(0, "only 2 of its group of 3 have room".to_owned());
        assert_eq!(Gang.permit(&lot(true, 2)), refused);
    }
}
