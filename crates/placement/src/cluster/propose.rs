//! Placing with several workers. [`Cluster::prepare`] takes a view and divides the
//! batch; each worker [proposes](Prepared::propose) placements for its lots on a
//! copy of the view, from its own shard of the nodes, knowing nothing of the others;
//! [`Cluster::commit`] asks the filters again for each proposal on the state that
//! counts and takes what still holds. What conflicts is placed as if it had just
//! come. Nothing is overcommitted, whatever the workers believed; how the work is
//! divided changes scores a little, never what is possible.
//!
//! The crate starts no thread: who calls runs `propose` where it likes.

use std::sync::Arc;

use gapless_types::Time;

use super::choose::{pick_from_sample, sampling};
use super::place::{Batch, Outcome, Request, Wanted};
use super::{Cluster, Config};
use crate::balance::Played;
use crate::context::{Context, Sets, Shape, mix};
use crate::engine::{Layout, Lot, Pick, Plan, Scratch, occupy};
use crate::policy::Grant;
use crate::state::{NodeIndex, State};

/// A batch, divided, with the view it is decided on.
#[derive(Debug)]
pub struct Prepared {
    requests: Vec<Request>,
    lots: Vec<(Wanted, Arc<Shape>, Option<Played>)>,
    view: Arc<State>,
    layout: Arc<Layout>,
    config: Config,
    batch: Batch,
}

/// What one worker would do.
#[derive(Clone, Debug, Default)]
pub struct Proposal {
    placements: Vec<(u32, NodeIndex, f32)>,
}

impl Prepared {
    /// Placements for the lots of `worker`, one of `workers`.
    pub fn propose(&self, worker: usize, workers: usize) -> Proposal {
        let mut proposal = Proposal::default();
        let mut state = State::clone(&self.view);
        let mut scratch = Scratch::default();
        let mut picks: Vec<Pick> = Vec::new();
        for (wanted, shape, _) in self.lots.iter().skip(worker).step_by(workers.max(1)) {
            let sets = Sets::new(&state, shape);
            let plan = Plan::new(&Context::new(&state, shape, None, &sets));
            let seed = mix(self.config.seed ^ u64::from(wanted.requests[0]));
            let lot = Lot { shape, group: None, sets: &sets, plan: &plan, seed };
            let count = wanted.requests.len();
            let how = sampling(&self.config, count, seed, (worker, workers.max(1)));
            picks.clear();
            pick_from_sample(&mut state, &self.layout, &lot, how, count, &mut scratch, &mut picks);
            let placed = wanted.requests.iter().zip(&picks);
            proposal
                .placements
                .extend(placed.map(|(request, pick)| (*request, pick.node, pick.score)));
        }
        proposal
    }
}

impl Cluster {
    /// Divides a batch for workers. Groups, and lots too large to be sampled, are left
    /// for [`Cluster::commit`].
    pub fn prepare(&mut self, requests: &[Request]) -> Prepared {
        let mut batch = Batch::default();
        self.settle();
        let mut lots = self.lots(requests, &mut batch);
        lots.retain(|lot| lot.group.is_none() && self.sample_size(lot.requests.len()).is_some());
        let mut with_shape = |lot: Wanted| {
            let (way, played) = self.choose_way(lot.shape, lot.requests.len());
            let shape = Arc::clone(&self.way(way)?.shape);
            Some((lot, shape, played))
        };
        let lots = lots.into_iter().filter_map(&mut with_shape).collect();
        Prepared {
            requests: requests.to_vec(),
            lots,
            view: self.view(),
            layout: Arc::clone(&self.layout),
            config: self.config,
            batch,
        }
    }

    /// Takes what of the proposals still holds and places the rest. Also says how many
    /// proposals did not hold.
    pub fn commit(
        &mut self,
        prepared: Prepared,
        proposals: &[Proposal],
        now: Time,
    ) -> (Batch, usize) {
        let Prepared { requests, lots, mut batch, view, .. } = prepared;
        drop(view);
        let mut proposed: Vec<Option<(NodeIndex, f32)>> = vec![None; requests.len()];
        for (request, node, score) in proposals.iter().flat_map(|p| &p.placements) {
            proposed[*request as usize] = Some((*node, *score));
        }
        let mut conflicts = 0;
        let mut is_done = vec![false; requests.len()];
        for (wanted, shape, played) in &lots {
            let sets = Sets::new(&self.state, shape);
            let plan = Plan::new(&Context::new(&self.state, shape, None, &sets));
            for request in &wanted.requests {
                let index = *request as usize;
                let Some((node, score)) = proposed[index] else { continue };
                let holds = self.state.alive.contains(node)
                    && plan.passes(&Context::new(&self.state, shape, None, &sets), node);
                if !holds {
                    conflicts += 1;
                    continue;
                }
                let mut grant = Grant::default();
                occupy(&mut self.state, shape, node, &mut grant);
                let pick = Pick { node, grant, score };
                self.record(requests[index].instance, wanted.shape, (pick, *played), now);
                self.changed(node);
                batch.outcomes[index] = Outcome::Placed { node, score };
                is_done[index] = true;
            }
        }
        self.place_rest(&requests, &is_done, now, &mut batch);
        (batch, conflicts)
    }

    fn place_rest(&mut self, requests: &[Request], is_done: &[bool], now: Time, batch: &mut Batch) {
        let rest: Vec<usize> = (0..requests.len()).filter(|index| !is_done[*index]).collect();
        if rest.is_empty() {
            return;
        }
        let left: Vec<Request> = rest.iter().map(|index| requests[*index]).collect();
        let placed = self.place(&left, now);
        for (index, outcome) in rest.iter().zip(placed.outcomes) {
            batch.outcomes[*index] = outcome;
        }
        batch.displaced.extend(placed.displaced);
    }
}
