//! `gapless get KIND`: lists, and with `-w` every change.
//!
//! Kinds of our own that people look at most have columns made here; every other kind
//! that the platform serves is shown by its own table (`Shape`). Changes are pushed by
//! the platform; a watch that breaks off goes on where it was (`follow`).

pub(crate) mod follow;
mod listed;
mod printer;
mod shape;

use gapless_api::{Instance, List, Node, PlacementProfile};
use gapless_types::Function;
use serde_json::Value;

use follow::{Change, Follow};
pub(crate) use listed::{Listed, code, list_path};
use printer::Printer;
use shape::{Shape, Tabled, Typed};

use crate::args::{ApiArgs, NamespaceArgs, OutputArgs, check_name};
use crate::client::{Client, encoded};
use crate::discovery::Kinds;
use crate::failure::{Failure, Outcome};
use crate::output::Format;

const EXAMPLES: &str = "\
Examples:
  gapless get functions
  gapless get functions hello -o yaml
  gapless get revisions -l gapless.dev/function=hello
  gapless get instances -A -o wide
  gapless get functions -w            print each change, until Ctrl-C
  gapless get nodes -o wide
  gapless get profiles default -o yaml
  gapless get secrets key -o yaml --show-secrets
  gapless get events -w

Kinds: functions, revisions, instances, nodes, profiles, namespaces, secrets,
configmaps, events, and whatever else the platform serves.";

/// List objects of a kind.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to list, such as functions, revisions, instances, nodes, secrets; or KIND/NAME
    #[arg(value_name = "KIND")]
    kind: String,
    /// Only the one with this name
    name: Option<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// In all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Only those with these labels, such as app=web,tier!=test
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Print each change, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// Show what secrets hold, instead of that they hold it
    #[arg(long)]
    show_secrets: bool,
    /// Show in JSON and YAML who owns which fields
    #[arg(long)]
    show_managed_fields: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

pub(crate) async fn run(mut args: Args) -> Outcome {
    if let (Some((kind, name)), None) = (args.kind.split_once('/'), &args.name) {
        (args.kind, args.name) = (kind.to_owned(), Some(name.to_owned()));
    }
    let client = args.api.client()?;
    let namespace = match args.all_namespaces {
        true => None,
        false => Some(args.namespace.of(&args.api)?),
    };
    let namespace = namespace.as_deref();
    match args.kind.to_ascii_lowercase().as_str() {
        "functions" | "function" | "fn" => {
            let path = list_path::<Function>(namespace);
            show(&client, &mut Typed::<Function>::new(), &path, namespace, &args).await
        }
        "instances" | "instance" => {
            let path = list_path::<Instance>(namespace);
            show(&client, &mut Typed::<Instance>::new(), &path, namespace, &args).await
        }
        "nodes" | "node" => {
            let path = list_path::<Node>(namespace);
            show(&client, &mut Typed::<Node>::new(), &path, namespace, &args).await
        }
        "profiles" | "profile" | "placementprofiles" | "placementprofile" => {
            let path = list_path::<PlacementProfile>(namespace);
            show(&client, &mut Typed::<PlacementProfile>::new(), &path, namespace, &args).await
        }
        word => {
            let kinds = Kinds::of(&client).await?;
            let kind = kinds.called(word)?;
            let path = kind.list_path(namespace);
            show(&client, &mut Tabled::new(kind), &path, namespace, &args).await
        }
    }
}

async fn show(
    client: &Client,
    shape: &mut dyn Shape,
    path: &str,
    namespace: Option<&str>,
    args: &Args,
) -> Outcome {
    let query = query(args)?;
    let format = args.output.output;
    let is_table = matches!(format, Format::Table | Format::Wide) && shape.is_tabled();
    let mut printer =
        Printer::new(format, args.all_namespaces && shape.is_namespaced(), args.watch);
    if args.watch {
        let follow = Follow::new(client.clone(), path, &query);
        let follow = if is_table { follow.tables() } else { follow };
        let hides_owners = !args.show_managed_fields;
        return watch(shape, follow, &mut printer, is_table, hides_owners).await;
    }
    let what = format!("cannot list {}", shape.plural());
    let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let (list, items) = match is_table {
        true => {
            let table: Value = client.table(&what, &path).await?;
            let items = shape.rows(&table);
            (table, items)
        }
        false => {
            let list: List<Value> = client.get(&what, &path).await?;
            let mut list = only(list, args.name.as_deref());
            if !args.show_managed_fields {
                list.items.iter_mut().for_each(hide_owners);
            }
            (serde_json::to_value(&list).unwrap_or_default(), list.items)
        }
    };
    if let (Some(name), true) = (&args.name, items.is_empty()) {
        let place = namespace.filter(|_| shape.is_namespaced());
        let place = place.map(|place| format!(" in namespace {place}")).unwrap_or_default();
        let why = format!("there is none{place}");
        return Err(Failure::new(format!("{} {name}", shape.singular()), why)
            .help(format!("`gapless get {} -A` lists what there is", shape.plural())));
    }
    printer.list(shape, &list, &items, args.name.is_some())
}

fn query(args: &Args) -> Outcome<String> {
    let mut query = Vec::new();
    if let Some(name) = &args.name {
        if name.contains(['/', ',', '=']) {
            check_name(name)?;
        }
        query.push(format!("fieldSelector=metadata.name%3D{}", encoded(name)));
    }
    if let Some(selector) = &args.selector {
        query.push(format!("labelSelector={}", encoded(selector)));
    }
    if args.show_secrets {
        query.push("reveal=true".to_owned());
    }
    Ok(query.join("&"))
}

/// Who owns which fields is long, and rarely asked for.
fn hide_owners(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

fn only(mut list: List<Value>, name: Option<&str>) -> List<Value> {
    if let Some(name) = name {
        list.items.retain(|item| item["metadata"]["name"] == name);
    }
    list
}

/// Prints what exists, then what the API pushes.
async fn watch(
    shape: &mut dyn Shape,
    mut follow: Follow,
    printer: &mut Printer,
    is_table: bool,
    hides_owners: bool,
) -> Outcome {
    let mut first = Some(Vec::new());
    loop {
        match follow.next().await? {
            Change::Object { change, mut object } => {
                if hides_owners {
                    hide_owners(&mut object);
                }
                let items = if is_table { shape.rows(&object) } else { vec![object] };
                match &mut first {
                    // Together, so that columns are wide enough for all.
                    Some(first) => first.extend(items),
                    None => {
                        for item in &items {
                            printer.change(shape, &change, item)?;
                        }
                    }
                }
            }
            Change::Begun => {
                if let Some(items) = first.take().filter(|items| !items.is_empty()) {
                    printer.begin(shape, &items)?;
                }
            }
        }
    }
}
