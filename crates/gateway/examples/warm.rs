//! A gateway with one warm function, to be put under load:
//!
//! ```text
//! warm ADDRESS local|HOST:PORT|unix:PATH [WORKERS [REVISIONS]]
//! wrk -t1 -c32 -d5s http://ADDRESS/fn/default/bench/
//! ```
//!
//! `local` answers `hello` from this process; otherwise the function's only
//! instance is whoever listens there, with as many slots as are asked for. With several
//! revisions, each has such an instance and an equal share of the requests.

use std::sync::Arc;

use gapless_gateway::{Gateway, GatewayConfig};
use gapless_proto::{
    Body, ControlLink, Demand, Endpoint, FunctionRoute, GatewayLink, InstanceFact, Lease,
    LocalCall, LocalService, Request, Response, RouteReadiness, RouteTarget, Served, StartKind,
    StartReport,
};
use gapless_rt::{Clock, Shutdown};
use gapless_telemetry::Metrics;
use gapless_types::{FunctionKey, FunctionSpec, InstanceId, Percent, Revision, RevisionName};

/// More than any load here has connections.
const SLOTS: u32 = 4096;

struct Hello;

impl LocalService for Hello {
    fn call(&self, _request: Request) -> LocalCall {
        Box::pin(async { Ok(Response::new(Body::from("hello"))) })
    }
}

/// Instances are there already, and stay.
struct NoControl;

impl ControlLink for NoControl {
    fn demand(&self, _: &RevisionName, _: Demand) {}
    fn idle(&self, _: &RevisionName, _: InstanceId) {}
    fn released(&self, _: &RevisionName, _: InstanceId) {}
    fn served(&self, _: &RevisionName, _: InstanceId, _: Served) {}
    fn broken(&self, _: &RevisionName, instance: InstanceId, why: &str) {
        eprintln!("{instance} is broken: {why}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, reach, rest @ ..] = arguments.as_slice() else {
        return Err("warm ADDRESS local|HOST:PORT|unix:PATH [WORKERS [REVISIONS]]".into());
    };
    let workers = rest.first().map_or(Ok(2), |text| text.parse())?;
    let revisions: u64 = rest.get(1).map_or(Ok(1), |text| text.parse())?;
    let endpoint = match reach.as_str() {
        "local" => Endpoint::Local(Arc::new(Hello)),
        other => match other.strip_prefix("unix:") {
            Some(path) => Endpoint::Unix(std::path::Path::new(path).into()),
            None => Endpoint::Tcp(other.parse()?),
        },
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        let config = GatewayConfig::default();
        let gateway = Gateway::new(config, Clock::start(), Metrics::new(), Shutdown::new());
        gateway.connect(Arc::new(NoControl));
        let function = FunctionKey::new("default", "bench")?;
        let target = |generation| RouteTarget {
            revision: Arc::new(Revision {
                name: RevisionName::new(&function, generation),
                function: function.clone(),
                spec: FunctionSpec::with_defaults().into(),
            }),
            weight: Percent::whole(1),
            readiness: RouteReadiness::Ready,
        };
        let targets: Vec<RouteTarget> = (1..=revisions).map(target).collect();
        let names: Vec<_> = targets.iter().map(|target| target.revision.name.clone()).collect();
        gateway.set_route(FunctionRoute { function, targets, tags: Vec::new() });
        for (id, name) in (1..).zip(&names) {
            let start = Arc::new(StartReport::new(StartKind::Cold));
            let lease = Lease { slots: SLOTS, endpoint: endpoint.clone(), start };
            gateway.instance(name, InstanceId(id), InstanceFact::Ready(lease));
        }
        let listener = tokio::net::TcpListener::bind(address).await?;
        gateway.serve(listener).await;
        Ok(())
    })
}
