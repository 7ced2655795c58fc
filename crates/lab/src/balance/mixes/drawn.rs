//! Mixes drawn at random, for making the prior: domain randomisation (Tobin et al., IROS
//! 2017). What was tuned on a few written workloads is good at those; what was tuned on
//! many that differ in everything has seen something like the next one too.
//!
//! Ranges are those the simulator is meant for, not those of any mix of the lab: sizes
//! and lives from the traces that [`super`] names, usage from a third of what is reserved
//! (waiting) to a fifth more than all of it, crowds up to two dozen.

use gapless_sim::placing::world::{Function, Kind, Mix};
use gapless_types::{Bytes, CpuMillis};

use super::super::search::Normals;
use super::{GIB, MIB, function, many};

/// Instances of a run: of fewer little can be seen, and more take long.
const INSTANCES: std::ops::Range<f64> = 1_500.0..25_000.0;
/// Memory reserved at most, as a share of what the cluster has: 4 GiB a core.
const MEMORY_MAX: f64 = 0.7;
/// Cores of a cluster of the lab and seconds of a run, about.
const CORE_SECONDS: f64 = 300.0 * 1500.0;

/// The names that data and runtimes have.
const DATA: [&str; 4] = ["d0", "d1", "d2", "d3"];
const RUNTIMES: [&str; 3] = ["python", "jvm", "node"];

/// A mix that follows from its number.
pub(crate) fn drawn(number: u64) -> Mix {
    let mut draws = Draws(Normals::new(0xd0a1 ^ number.wrapping_mul(0x9e37_79b9)));
    loop {
        let mix = draws.mix(number);
        if is_fit(&mix) {
            return mix;
        }
    }
}

/// Whether a cluster of the lab has room for it, and a run is neither empty nor endless.
fn is_fit(mix: &Mix) -> bool {
    let at = |share: f64| {
        let of = |number: usize| {
            let (f, part) = (&mix.functions[number], mix.share_at(number, share));
            let cores = f64::from(f.cpu.0) / 1e3;
            (part / (cores * f.life_s), part * f.memory.0 as f64 / (cores * 4.0 * GIB as f64))
        };
        let sums = (0..mix.functions.len()).map(of).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
        (mix.load_at(share) * sums.0 * CORE_SECONDS, mix.load_at(share) * sums.1)
    };
    let halves = [at(0.0), at(0.9)];
    halves.iter().all(|(starts, memory)| INSTANCES.contains(starts) && *memory < MEMORY_MAX)
}

struct Draws(Normals);

impl Draws {
    fn chance(&mut self, of: f64) -> bool {
        self.0.unit() < of
    }

    fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.0.unit()
    }

    /// Alike in its logarithm.
    fn scale(&mut self, least: f64, most: f64) -> f64 {
        least * (most / least).powf(self.0.unit())
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[((self.0.unit() * of.len() as f64) as usize).min(of.len() - 1)]
    }

    fn mix(&mut self, number: u64) -> Mix {
        let families = 2 + (self.0.unit() * 4.0) as usize;
        let tenants = self.one(&[1, 1, 2, 3, 4]);
        let mut functions = Vec::new();
        let mut firsts = vec![0];
        for family in 0..families {
            let one = self.family(family, tenants, &functions);
            let copies = self.scale(1.0, 40.0) as usize;
            functions.extend(many(&one, copies.max(1)));
            firsts.push(functions.len());
        }
        let load = self.between(0.12, 0.6);
        let mut mix = super::mix("drawn", "drawn at random", (load, load), functions);
        mix.name = Box::leak(format!("drawn-{number}").into_boxed_str());
        if self.chance(0.3) {
            mix.load.1 = self.between(0.12, 0.65);
        }
        if self.chance(0.25) {
            // A family comes halfway, or goes.
            let which = 1 + (self.0.unit() * (families - 1) as f64) as usize;
            let its: Vec<usize> = (firsts[which]..firsts[which + 1]).collect();
            match self.chance(0.5) {
                true => mix.second_half_only = its,
                false => mix.first_half_only = its,
            }
        }
        mix
    }

    /// Functions that are alike.
    fn family(&mut self, number: usize, tenants: usize, before: &[Function]) -> Function {
        let cores = self.one(&[0.25, 0.5, 0.5, 1.0, 1.0, 1.0, 2.0, 2.0, 4.0, 8.0]);
        let memory = (cores * self.scale(0.5, 8.0) * 1024.0) as u64;
        let kind =
            self.one(&[Kind::Cpu, Kind::Cpu, Kind::MemoryBandwidth, Kind::Io, Kind::Waiting]);
        let usage = match kind {
            Kind::Waiting => self.between(0.2, 0.5),
            _ => self.between(0.45, 1.2),
        };
        let tenant = ["a", "b", "c", "d"][(self.0.unit() * tenants as f64) as usize % 4];
        let crowd = if self.chance(0.3) { self.scale(3.0, 24.0) } else { 1.0 };
        let mut one = Function {
            tenant: tenant.to_owned(),
            cpu: CpuMillis((cores * 1000.0) as u32),
            memory: Bytes(memory.max(128) * MIB),
            kind,
            usage,
            variation: self.between(0.1, 0.6),
            life_s: self.scale(4.0, 150.0),
            life_sigma: self.between(0.4, 1.3),
            share: self.scale(0.2, 4.0),
            crowd,
            image: Bytes(self.scale(40.0, 3000.0) as u64 * MIB),
            boot_s: self.scale(0.2, 6.0),
            runtime: None,
            is_sensitive: tenants > 1 && self.chance(0.3),
            wants_new: self.chance(0.2),
            needs_device: false,
            ..function(&format!("family-{number}"))
        };
        if self.chance(0.7) {
            one.runtime = Some(self.one(&RUNTIMES));
        }
        if self.chance(0.3) {
            one.data = Some((self.one(&DATA), Bytes(self.scale(200.0, 6000.0) as u64 * MIB)));
        }
        if self.chance(0.3) && !before.is_empty() {
            let at = (self.0.unit() * before.len() as f64) as usize;
            let called = &before[at.min(before.len() - 1)];
            let name = format!("{}/{}", called.tenant, called.name);
            one.calls = Some((name, self.between(0.1, 0.6)));
        }
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_gives_the_same_mix_and_another_number_another() {
        let of = |number| format!("{:?}", drawn(number));
        assert_eq!(of(3), of(3));
        assert!((0..20).map(of).collect::<std::collections::BTreeSet<_>>().len() == 20);
        let mixes: Vec<Mix> = (0..60).map(drawn).collect();
        let changing = mixes.iter().filter(|mix| mix.changes()).count();
        assert!((10..50).contains(&changing), "{changing}");
        let widths: Vec<u32> = mixes.iter().flat_map(|m| &m.functions).map(|f| f.cpu.0).collect();
        assert!(widths.contains(&250) && widths.contains(&8000));
    }
}
