//! The lab's clusters.

use gapless_sim::placing::world::{Machine, World};
use gapless_types::Bytes;

use super::mixes::GIB;

/// Every shape of cluster.
pub(crate) fn worlds() -> [World; 3] {
    [even(), mixed(), spot()]
}

fn machine(number: usize, zones: usize) -> Machine {
    Machine {
        cores: 16,
        memory: Bytes(64 * GIB),
        zone: (number % zones) as u32,
        rack: (number / zones / 4) as u32,
        price: 1.0,
        spot_risk: 0.0,
        speed: 1.0,
        devices: 0,
        power_cap: None,
    }
}

/// Equal nodes in three zones; some fall ill.
fn even() -> World {
    let machines = (0..18).map(|number| machine(number, 3)).collect();
    World { name: "even", machines, illness: 0.3, loses_zone: false }
}

/// Old and new, small and large nodes, some with accelerators, some capped.
fn mixed() -> World {
    let make = |number: usize| {
        let size = [1, 1, 2, 1][number % 4];
        let of = machine(number, 2);
        Machine {
            cores: 16 * size,
            memory: Bytes(64 * GIB * u64::from(size)),
            speed: if number.is_multiple_of(3) { 0.8 } else { 1.0 },
            devices: if number % 6 == 2 { 2 } else { 0 },
            power_cap: (number % 5 == 1).then_some(0.75),
            ..of
        }
    };
    World { name: "mixed", machines: (0..15).map(make).collect(), illness: 0.3, loses_zone: false }
}

/// Half of the nodes are cheap and may be taken away; a zone is lost once. Chances of a
/// month are pressed into hours: an episode without a loss would teach nothing.
fn spot() -> World {
    let make = |number: usize| {
        let is_spot = number % 2 == 1;
        Machine {
            price: if is_spot { 0.35 } else { 1.0 },
            spot_risk: if is_spot { 0.25 } else { 0.0 },
            ..machine(number / 2, 3)
        }
    };
    World { name: "spot", machines: (0..24).map(make).collect(), illness: 0.1, loses_zone: true }
}
