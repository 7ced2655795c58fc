//! `gapless kubeconfig`: what `kubectl`, `k9s` and client libraries want to know of a
//! platform (Kubernetes, "Organizing Cluster Access Using kubeconfig Files").

use serde_json::json;

use crate::args::{ApiArgs, NamespaceArgs};
use crate::failure::Outcome;
use crate::output::{self, Format};

const EXAMPLES: &str = "\
Examples:
  gapless kubeconfig > gapless.kubeconfig
  KUBECONFIG=gapless.kubeconfig kubectl get functions
  KUBECONFIG=~/.kube/config:gapless.kubeconfig kubectl --context gapless get functions";

/// Print a kubeconfig of the platform, for kubectl, k9s and friends.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What the cluster, the user and the context are called
    #[arg(long, default_value = "gapless")]
    name: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let name = &args.name;
    let server = args.api.client()?.url().to_owned();
    let namespace = args.namespace.of(&args.api)?;
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{ "name": name, "cluster": { "server": server } }],
        "users": [{ "name": name, "user": {} }],
        "contexts": [{
            "name": name,
            "context": { "cluster": name, "user": name, "namespace": namespace },
        }],
    });
    output::emit_value(Format::Yaml, &config)
}
