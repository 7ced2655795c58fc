//! `gapless get functions|instances|nodes|profiles`: lists, and with `-w` every change.
//!
//! Functions are watched: the API pushes. Instances and nodes live in memory and
//! have no watch yet, so `-w` reads their list again every [`REFRESH`] and prints
//! what changed.

mod listed;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::ValueEnum;
use gapless_api::{Instance, List, Node, PlacementProfile, WatchEvent};
use gapless_types::Function;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) use listed::{Listed, code, list_path};
use listed::{is_state, read};

use crate::args::{ApiArgs, OutputArgs, check_name};
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Format, Table};

/// What the state column says of an object that is no more.
const DELETED: &str = "Deleted";
/// The longest text of a state column: a watch leaves room for it.
const LONGEST_STATE: &str = "Retiring";
/// How often lists without a watch are read again.
const REFRESH: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  gapless get functions
  gapless get functions hello -o yaml
  gapless get instances -A -o wide
  gapless get functions -w            print each change, until Ctrl-C
  gapless get nodes -o wide
  gapless get profiles default -o yaml";

/// List functions, instances, nodes or placement profiles.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to list
    #[arg(value_enum)]
    kind: Kind,
    /// Only the one with this name
    name: Option<String>,
    /// In this namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
    /// In all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Print each change, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Declared functions
    #[value(alias = "function", alias = "fn")]
    Functions,
    /// Running environments of functions
    #[value(alias = "instance")]
    Instances,
    /// Machines that run instances
    #[value(alias = "node")]
    Nodes,
    /// Placement profiles
    #[value(alias = "profile", alias = "placementprofiles")]
    Profiles,
}

pub(crate) async fn run(args: Args) -> Outcome {
    check_name(&args.namespace)?;
    match args.kind {
        Kind::Functions => show::<Function>(&args).await,
        Kind::Instances => show::<Instance>(&args).await,
        Kind::Nodes => show::<Node>(&args).await,
        Kind::Profiles => show::<PlacementProfile>(&args).await,
    }
}

async fn show<T: Listed>(args: &Args) -> Outcome {
    let client = args.api.client()?;
    let namespace = (!args.all_namespaces).then_some(args.namespace.as_str());
    let path = list_path::<T>(namespace);
    let with_namespace = args.all_namespaces && T::IS_NAMESPACED;
    let mut printer = Printer::new(args.output.output, with_namespace, args.watch);
    if args.watch && T::IS_WATCHED {
        return watch::<T>(&client, &path, args, &mut printer).await;
    }
    let what = format!("cannot list {}", T::PLURAL);
    let list: List<Value> = client.get(&what, &path).await?;
    let list = only(list, args.name.as_deref());
    if let (Some(name), true, false) = (&args.name, list.items.is_empty(), args.watch) {
        let place = namespace.filter(|_| T::IS_NAMESPACED);
        let place = place.map(|place| format!(" in namespace {place}")).unwrap_or_default();
        let why = format!("there is none{place}");
        return Err(Failure::new(format!("{} {name}", T::SINGULAR), why)
            .help(format!("`gapless get {} -A` lists what there is", T::PLURAL)));
    }
    printer.list::<T>(&list, args.name.is_some())?;
    if args.watch { refresh::<T>(&client, &path, args, &mut printer, list).await } else { Ok(()) }
}

fn only(mut list: List<Value>, name: Option<&str>) -> List<Value> {
    if let Some(name) = name {
        list.items.retain(|item| item["metadata"]["name"] == name);
    }
    list
}

/// Prints what the API pushes.
async fn watch<T: Listed>(
    client: &Client,
    path: &str,
    args: &Args,
    printer: &mut Printer,
) -> Outcome {
    let mut path = format!("{path}?watch=true");
    if let Some(name) = &args.name {
        check_name(name)?;
        path.push_str(&format!("&fieldSelector=metadata.name={name}"));
    }
    let what = format!("cannot watch {}", T::PLURAL);
    let mut events = client.lines(&what, &path).await?;
    while let Some(event) = events.next_object::<WatchEvent<Value>>().await? {
        printer.change::<T>(&event.r#type, &event.object)?;
    }
    Ok(())
}

/// Reads the list again and again and prints what changed.
async fn refresh<T: Listed>(
    client: &Client,
    path: &str,
    args: &Args,
    printer: &mut Printer,
    list: List<Value>,
) -> Outcome {
    let by_key = |list: List<Value>| -> BTreeMap<String, Value> {
        let key = |item: &Value| {
            format!("{}/{}", item["metadata"]["namespace"], item["metadata"]["name"])
        };
        list.items.into_iter().map(|item| (key(&item), item)).collect()
    };
    let mut known = by_key(list);
    loop {
        tokio::time::sleep(REFRESH).await;
        let list: List<Value> = client.get(&format!("cannot list {}", T::PLURAL), path).await?;
        let now = by_key(only(list, args.name.as_deref()));
        for (key, item) in &now {
            match known.remove(key) {
                Some(former) if former == *item => {}
                Some(_) => printer.change::<T>("MODIFIED", item)?,
                None => printer.change::<T>("ADDED", item)?,
            }
        }
        for item in known.values() {
            printer.change::<T>("DELETED", item)?;
        }
        known = now;
    }
}

/// Prints objects in the format asked for.
struct Printer {
    format: Format,
    with_namespace: bool,
    is_watch: bool,
    table: Option<Table>,
}

impl Printer {
    fn new(format: Format, with_namespace: bool, is_watch: bool) -> Self {
        Printer { format, with_namespace, is_watch, table: None }
    }

    fn header<T: Listed>(&self) -> Vec<&'static str> {
        let namespace = self.with_namespace.then_some("NAMESPACE");
        namespace.into_iter().chain(T::COLUMNS[..self.shown::<T>()].iter().copied()).collect()
    }

    fn shown<T: Listed>(&self) -> usize {
        if self.format == Format::Wide { T::COLUMNS.len() } else { T::NARROW }
    }

    fn cells<T: Listed>(&self, object: &T) -> Vec<String> {
        let mut cells = object.cells(Timestamp::now());
        cells.truncate(self.shown::<T>());
        if self.with_namespace {
            cells.insert(0, object.key().0.to_owned());
        }
        cells
    }

    /// Columns for `rows` and, in a watch, for what may still come.
    fn table<T: Listed>(&self, rows: &[Vec<String>]) -> Table {
        let mut table = Table::new(&self.header::<T>(), rows);
        if self.is_watch {
            table.widen(self.state_column::<T>(), LONGEST_STATE);
        }
        table
    }

    fn state_column<T: Listed>(&self) -> usize {
        usize::from(self.with_namespace) + T::COLUMNS.iter().position(is_state).unwrap_or(0)
    }

    /// Prints a whole list; the object alone when one was asked for by name.
    fn list<T: Listed>(&mut self, list: &List<Value>, is_single: bool) -> Outcome {
        match self.format {
            Format::Json | Format::Yaml => match list.items.as_slice() {
                [object] if is_single => output::emit_value(self.format, object),
                _ => {
                    output::emit_value(self.format, &serde_json::to_value(list).unwrap_or_default())
                }
            },
            Format::Name => list.items.iter().try_for_each(|item| self.name::<T>(item)),
            Format::Table | Format::Wide => {
                let objects: Vec<T> = list.items.iter().map(read).collect::<Outcome<_>>()?;
                if objects.is_empty() {
                    eprintln!("no {}", T::PLURAL);
                    return Ok(());
                }
                let rows: Vec<Vec<String>> =
                    objects.iter().map(|object| self.cells(object)).collect();
                let table = self.table::<T>(&rows);
                let mut text = table.header();
                text.extend(rows.iter().map(|row| table.row(row)));
                self.table = Some(table);
                output::emit(&text)
            }
        }
    }

    /// Prints one change.
    fn change<T: Listed>(&mut self, change: &str, item: &Value) -> Outcome {
        match self.format {
            Format::Json | Format::Yaml => {
                let event = WatchEvent { r#type: change.to_owned(), object: item };
                output::emit(&format!("{}\n", serde_json::to_string(&event).unwrap_or_default()))
            }
            Format::Name => self.name::<T>(item),
            Format::Table | Format::Wide => {
                let object: T = read(item)?;
                let mut cells = self.cells(&object);
                if change == "DELETED" {
                    cells[self.state_column::<T>()] = DELETED.to_owned();
                }
                let mut text = String::new();
                if self.table.is_none() {
                    let table = self.table::<T>(std::slice::from_ref(&cells));
                    text.push_str(&table.header());
                    self.table = Some(table);
                }
                let row = self.table.as_ref().map(|table| table.row(&cells));
                text.push_str(&row.unwrap_or_default());
                output::emit(&text)
            }
        }
    }

    fn name<T: Listed>(&self, item: &Value) -> Outcome {
        let object: T = read(item)?;
        let (namespace, name) = object.key();
        match self.with_namespace {
            true => output::emit(&format!("{}/{namespace}/{name}\n", T::SINGULAR)),
            false => output::emit(&format!("{}/{name}\n", T::SINGULAR)),
        }
    }
}
