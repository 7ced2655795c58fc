//! A gateway with one warm function, to be put under load:
//!
//! ```text
//! warm ADDRESS local|HOST:PORT|unix:PATH [WORKERS]
//! wrk -t1 -c32 -d5s http://ADDRESS/fn/default/bench/
//! ```
//!
//! `local` answers `hello` from this process; otherwise the function's only
//! instance is whoever listens there, with as many slots as are asked for.

use std::sync::Arc;

use gapless_gateway::{Gateway, GatewayConfig};
use gapless_proto::{
    Body, ControlLink, Demand, Endpoint, FunctionRoute, GatewayLink, InstanceFact, Lease,
    LocalCall, LocalService, Request, Response, RouteReadiness, StartKind, StartReport,
};
use gapless_rt::{Clock, Shutdown};
use gapless_telemetry::Metrics;
use gapless_types::{FunctionKey, FunctionSpec, InstanceId, Revision, RevisionName};

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
    fn broken(&self, _: &RevisionName, instance: InstanceId, why: &str) {
        eprintln!("{instance} is broken: {why}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, reach, rest @ ..] = arguments.as_slice() else {
        return Err("warm ADDRESS local|HOST:PORT|unix:PATH [WORKERS]".into());
    };
    let workers = rest.first().map_or(Ok(2), |text| text.parse())?;
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
        let name = RevisionName::new(&function, 1);
        let spec = FunctionSpec::with_defaults();
        let revision = Arc::new(Revision { name: name.clone(), function, spec });
        let readiness = RouteReadiness::Ready;
        gateway.set_route(FunctionRoute { revision, readiness });
        let start = Arc::new(StartReport::new(StartKind::Cold));
        let lease = Lease { slots: SLOTS, endpoint, start };
        gateway.instance(&name, InstanceId(1), InstanceFact::Ready(lease));
        let listener = tokio::net::TcpListener::bind(address).await?;
        gateway.serve(listener).await;
        Ok(())
    })
}
