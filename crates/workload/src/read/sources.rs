//! Files put together into one workload, by what each holds.

use std::time::Duration;

use super::azure2019::{join_durations, join_memory};
use super::detect::{Role, detect};
use super::grid::Grid;
use super::input::{FILES_MAX, Input};
use super::registry::Registry;
use super::rows::Rows;
use super::table::{Table, no_rows};
use super::wide::Wide;
use super::{Gaps, ReadOptions};
use crate::error::{Kind, TraceError};
use crate::expand::{Counts, Expansion};
use crate::function::{FunctionProfile, Trigger};
use crate::workload::{About, Feed, Workload};

/// The longest reorder window.
const REORDER_MAX: Duration = Duration::from_secs(86_400);

/// The files of a trace by role.
struct Files(Vec<(Role, Input)>);

impl Files {
    fn detect(mut inputs: Vec<Input>) -> Result<Self, TraceError> {
        if inputs.len() > FILES_MAX {
            let found = format!("{} files", inputs.len());
            return Err(TraceError::new("trace", Kind::TooLarge, found, format!("{FILES_MAX}")));
        }
        inputs.sort_by(|a, b| a.name().cmp(b.name()));
        let mut files = Vec::new();
        for mut input in inputs {
            files.push((detect(&mut input)?.0, input));
        }
        Ok(Files(files))
    }

    fn take(&mut self, role: Role) -> Vec<Input> {
        let (taken, rest) =
            std::mem::take(&mut self.0).into_iter().partition(|file| file.0 == role);
        self.0 = rest;
        let taken: Vec<(Role, Input)> = taken;
        taken.into_iter().map(|(_, input)| input).collect()
    }

    /// Fails if a file is left that nothing was taken for.
    fn all_taken(&self, format: &str) -> Result<(), TraceError> {
        match self.0.first() {
            None => Ok(()),
            Some((role, input)) => {
                let allowed = format!("files of the same trace, {format}");
                Err(TraceError::new(input.name(), Kind::Mismatch, format!("{role:?}"), allowed))
            }
        }
    }
}

pub(crate) fn read(inputs: Vec<Input>, options: &ReadOptions) -> Result<Workload, TraceError> {
    check(options)?;
    let mut files = Files::detect(inputs)?;
    for role in [Role::SmallCounts, Role::Azure2019Counts] {
        let counts = files.take(role);
        if !counts.is_empty() {
            return grid(role, counts, files, options);
        }
    }
    for role in [Role::Azure2021Rows, Role::Huawei2025Rows] {
        let rows = files.take(role);
        if !rows.is_empty() {
            return self::rows(role, rows, files, options);
        }
    }
    let requests = files.take(Role::HuaweiRequests);
    if !requests.is_empty() {
        return wide(requests, files, options);
    }
    let (name, found) = match files.0.first() {
        Some((role, input)) => (input.name(), format!("{role:?} and no file of invocations")),
        None => ("trace", "no files".to_owned()),
    };
    Err(TraceError::new(name, Kind::Empty, found, "a file with counts or invocations"))
}

fn check(options: &ReadOptions) -> Result<(), TraceError> {
    let wrong = |found, allowed: &str| {
        Err(TraceError::new("read options", Kind::OutOfRange, found, allowed))
    };
    if let Err(error) = options.service_default.check() {
        return wrong(error.to_string(), "a service time");
    }
    if options.reorder.is_zero() || options.reorder > REORDER_MAX {
        return wrong(format!("{:?}", options.reorder), "a reorder window up to a day");
    }
    Ok(())
}

fn grid(
    role: Role,
    counts: Vec<Input>,
    mut files: Files,
    options: &ReadOptions,
) -> Result<Workload, TraceError> {
    let (mut registry, mut functions, mut notes) = (Registry::default(), Vec::new(), Vec::new());
    let indexed = Grid::index(counts, &mut registry, &mut functions, options)?;
    let format = match role {
        Role::SmallCounts => "counts per minute",
        _ => {
            let durations = files.take(Role::Azure2019Durations);
            let memory = files.take(Role::Azure2019Memory);
            let without = join_durations(durations, &registry, &mut functions)?;
            assumed(&mut notes, without, format!("service time, {}", options.service_default));
            let without = join_memory(memory, &registry, &indexed.apps, &mut functions, options)?;
            assumed(&mut notes, without, format!("memory, {}", options.memory_default));
            "Azure Functions 2019"
        }
    };
    files.all_taken(format)?;
    let about = About {
        span: Some(indexed.span),
        invocations: Some(indexed.invocations),
        ..about(format, options, notes)
    };
    Ok(Workload::new(about, functions, expansion(indexed.grid, options)))
}

fn wide(
    requests: Vec<Input>,
    mut files: Files,
    options: &ReadOptions,
) -> Result<Workload, TraceError> {
    let (services, memories) = (files.take(Role::HuaweiService), files.take(Role::HuaweiMemory));
    let (others, triggers) = (files.take(Role::HuaweiOther), files.take(Role::Huawei2025Functions));
    let format = "Huawei, requests per function";
    files.all_taken(format)?;
    one_folder(&requests)?;
    let mut notes = Vec::new();
    if !memories.is_empty() {
        notes.push("memory: the least that all pods of a function had on the first day".to_owned());
    }
    if let Some(input) = others.first() {
        notes.push(format!("{} files of other measures not read, {}", others.len(), input.name()));
    }
    if services.is_empty() {
        let default = &options.service_default;
        notes.push(format!("no table of service times: {default} for every function"));
    }
    let mut functions = Vec::new();
    let wide = Wide::index(requests, services, memories, &mut functions, options)?;
    join_triggers(triggers, &mut functions)?;
    Ok(Workload::new(about(format, options, notes), functions, expansion(wide, options)))
}

/// Fails if tables of requests are of different folders, such as the same days by the
/// minute and by the second.
fn one_folder(requests: &[Input]) -> Result<(), TraceError> {
    let folder =
        |input: &Input| input.name().rsplit_once(['/', '\\']).map(|(folder, _)| folder.to_owned());
    let Some(other) = requests.iter().find(|input| folder(input) != folder(&requests[0])) else {
        return Ok(());
    };
    let found = "requests in another folder than the first day's";
    let allowed = format!("only the files beside {}", requests[0].name());
    Err(TraceError::new(other.name(), Kind::Mismatch, found, allowed))
}

fn rows(
    role: Role,
    inputs: Vec<Input>,
    mut files: Files,
    options: &ReadOptions,
) -> Result<Workload, TraceError> {
    let format = match role {
        Role::Azure2021Rows => "Azure Functions 2021",
        _ => "Huawei 2025 requests",
    };
    let triggers = match role {
        Role::Huawei2025Rows => files.take(Role::Huawei2025Functions),
        _ => Vec::new(),
    };
    files.all_taken(format)?;
    let mut functions = Vec::new();
    let is_scanned = options.is_scanned && inputs.iter().all(Input::is_repeatable);
    if !is_scanned {
        let notes = vec!["read as a stream: functions become known as they are invoked".to_owned()];
        let feed = Box::new(Rows::streamed(role, inputs, options));
        return Ok(Workload::new(about(format, options, notes), functions, feed));
    }
    let name = inputs[0].name().to_owned();
    let (rows, invocations, span) = Rows::scanned(role, inputs, &mut functions, options)?;
    if functions.is_empty() {
        return Err(no_rows(&name, "invocation"));
    }
    join_triggers(triggers, &mut functions)?;
    let about = About {
        span: Some(span),
        invocations: Some(invocations),
        ..about(format, options, Vec::new())
    };
    Ok(Workload::new(about, functions, Box::new(rows)))
}

/// Gives functions the triggers of Huawei's table of functions.
fn join_triggers(inputs: Vec<Input>, functions: &mut [FunctionProfile]) -> Result<(), TraceError> {
    let mut triggers = std::collections::BTreeMap::new();
    for mut input in inputs {
        let mut table = Table::open(&mut input)?;
        let id = table.needed("funcID")?;
        let trigger = table.needed("triggerType-invocationType")?;
        while table.advance()? && triggers.len() < crate::function::FUNCTIONS_MAX {
            triggers.insert(table.text(id), Trigger::from_huawei(&table.text(trigger)));
        }
    }
    for function in functions {
        if let Some(trigger) = triggers.get(&function.name) {
            function.trigger = *trigger;
        }
    }
    Ok(())
}

fn expansion(counts: impl Counts + 'static, options: &ReadOptions) -> Box<dyn Feed> {
    Box::new(Expansion::new(counts, options.spread, options.seed))
}

fn about(format: &str, options: &ReadOptions, mut notes: Vec<String>) -> About {
    if options.gaps == Gaps::AsZero {
        notes.push("gaps count as zero".to_owned());
    }
    About { name: format!("{format}, seed {}", options.seed), notes, ..About::default() }
}

fn assumed(notes: &mut Vec<String>, count: usize, what: String) {
    if count > 0 {
        notes.push(format!("{count} functions without {what} assumed"));
    }
}
