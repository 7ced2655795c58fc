//! What a file is, from its header.

use super::input::Input;
use super::table::missing_column;
use crate::error::{Kind, TraceError};

/// What a file of a trace holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A row per function, a column per minute, and each function's mean: the sample
    /// shipped with the platform.
    SmallCounts,
    /// Azure 2019: a row per function, a column per minute.
    Azure2019Counts,
    /// Azure 2019: percentiles of each function's duration.
    Azure2019Durations,
    /// Azure 2019: percentiles of each application's memory.
    Azure2019Memory,
    /// Azure 2021: a row per invocation.
    Azure2021Rows,
    /// Huawei 2025: a row per request.
    Huawei2025Rows,
    /// Huawei 2025: runtime and trigger of each function.
    Huawei2025Functions,
    /// Huawei 2023 or 2025: requests, a row per second or minute, a column per function.
    HuaweiRequests,
    /// Huawei 2023 or 2025: mean service time, in the same layout.
    HuaweiService,
    /// Huawei 2023: memory of all instances in MB, in the same layout.
    HuaweiMemory,
    /// Huawei 2023 or 2025: another measure in the same layout, which is not read.
    HuaweiOther,
}

/// A header by which a format is known, and what else the format needs.
struct Format {
    role: Role,
    /// Columns that no other format has together.
    marks: &'static [&'static str],
    needs: &'static [&'static str],
}

const FORMATS: &[Format] = &[
    Format {
        role: Role::Azure2019Durations,
        marks: &["HashApp", "percentile_Average_50"],
        needs: &["HashOwner", "HashFunction", "Average", "Count"],
    },
    Format {
        role: Role::Azure2019Memory,
        marks: &["HashApp", "AverageAllocatedMb"],
        needs: &["HashOwner", "SampleCount"],
    },
    Format {
        role: Role::Azure2019Counts,
        marks: &["HashApp", "Trigger"],
        needs: &["HashOwner", "HashFunction"],
    },
    Format {
        role: Role::Azure2021Rows,
        marks: &["func", "end_timestamp"],
        needs: &["app", "duration"],
    },
    Format {
        role: Role::Huawei2025Rows,
        marks: &["time_worker", "funcName"],
        needs: &["podID", "userID", "totalCost_worker"],
    },
    Format {
        role: Role::Huawei2025Functions,
        marks: &["funcID", "triggerType-invocationType"],
        needs: &[],
    },
    Format { role: Role::SmallCounts, marks: &["function", "minute_1"], needs: &["mean_ms"] },
    Format { role: Role::HuaweiRequests, marks: &["day", "time"], needs: &[] },
];

/// Folders and file names that say which measure one of Huawei's tables holds.
const MEASURES: &[(&str, Role)] = &[
    ("requests_minute", Role::HuaweiRequests),
    ("requests_second", Role::HuaweiRequests),
    ("requests", Role::HuaweiRequests),
    ("function_delay_minute", Role::HuaweiService),
    ("function_delay_second", Role::HuaweiService),
    ("totalCost_avg", Role::HuaweiService),
    ("memory_limit_minute", Role::HuaweiMemory),
    ("platform_delay", Role::HuaweiOther),
    ("cpu_", Role::HuaweiOther),
    ("memory_usage", Role::HuaweiOther),
    ("instances", Role::HuaweiOther),
    ("num_", Role::HuaweiOther),
    ("Cost", Role::HuaweiOther),
    ("requestBodySize", Role::HuaweiOther),
];

/// What `input` is, and its header.
pub(crate) fn detect(input: &mut Input) -> Result<(Role, Vec<String>), TraceError> {
    let line = input.first_line()?;
    let header = columns(&line);
    let name = input.name();
    if header.iter().all(String::is_empty) {
        return Err(TraceError::new(name, Kind::Empty, "no header", "a csv header").at_line(1));
    }
    let has = |column: &&str| header.iter().any(|found| found == column);
    if has(&"totalCost_cold_start") {
        let found = "Huawei's table of cold starts, which holds starts and not invocations";
        return Err(TraceError::new(name, Kind::UnknownFormat, found, known()).at_line(1));
    }
    let Some(format) = FORMATS.iter().find(|format| format.marks.iter().all(has)) else {
        return Err(unknown(name, &header));
    };
    if let Some(missing) = format.needs.iter().find(|column| !has(column)) {
        return Err(missing_column(name, missing, &header));
    }
    let role = input.declared_role().unwrap_or_else(|| match format.role {
        Role::HuaweiRequests => measure(name),
        role => role,
    });
    Ok((role, header))
}

/// The header as the csv reader sees it.
fn columns(line: &[u8]) -> Vec<String> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(line);
    let mut record = csv::ByteRecord::new();
    match reader.read_byte_record(&mut record) {
        Ok(true) => record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect(),
        _ => Vec::new(),
    }
}

/// The measure in one of Huawei's tables, from its folder or its own name.
fn measure(name: &str) -> Role {
    let mut parts = name.rsplit(['/', '\\']);
    let file = parts.next().unwrap_or_default();
    let folder = parts.next().unwrap_or_default();
    for part in [folder, file] {
        let stem = part.split('.').next().unwrap_or_default();
        let exact = MEASURES.iter().find(|(measure, _)| stem == *measure);
        let near = || MEASURES.iter().find(|(measure, _)| stem.contains(measure));
        if let Some((_, role)) = exact.or_else(near) {
            return *role;
        }
    }
    Role::HuaweiRequests
}

/// A header of no known format: the nearest one's missing column, if one is near.
fn unknown(name: &str, header: &[String]) -> TraceError {
    let has = |column: &&&str| header.iter().any(|found| found == **column);
    let columns = |format: &'static Format| format.marks.iter().chain(format.needs);
    let near = FORMATS
        .iter()
        .map(|format| (columns(format).filter(has).count(), format))
        .max_by_key(|(count, _)| *count)
        .filter(|(count, _)| *count >= 2);
    if let Some((_, format)) = near
        && let Some(missing) = columns(format).find(|column| !has(column))
    {
        return missing_column(name, missing, header);
    }
    TraceError::new(name, Kind::UnknownFormat, header.join(","), known()).at_line(1)
}

fn known() -> String {
    let marks: Vec<_> = FORMATS.iter().map(|format| format.marks.join(",")).collect();
    format!("a header with one of: {}", marks.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, header: &str) -> Result<Role, TraceError> {
        detect(&mut Input::bytes(name, header)).map(|(role, _)| role)
    }

    #[test]
    fn every_format_is_known_by_its_header() {
        let known = [
            ("HashOwner,HashApp,HashFunction,Trigger,1,2", Role::Azure2019Counts),
            ("HashOwner,HashApp,SampleCount,AverageAllocatedMb", Role::Azure2019Memory),
            ("app,func,end_timestamp,duration", Role::Azure2021Rows),
            ("\u{feff}app,func,end_timestamp,duration\r", Role::Azure2021Rows),
            ("function,workload,mean_ms,minute_1", Role::SmallCounts),
            ("day,time,0,1,2", Role::HuaweiRequests),
            ("funcID,cpu_request,runtime,triggerType-invocationType", Role::Huawei2025Functions),
        ];
        for (header, role) in known {
            assert_eq!(of("x.csv", header).unwrap(), role, "{header}");
        }
    }

    #[test]
    fn huaweis_tables_are_told_apart_by_their_folders() {
        let header = "day,time,0,1";
        let of = |name| of(name, header).unwrap();
        assert_eq!(of("private/requests_minute/day_000.csv"), Role::HuaweiRequests);
        assert_eq!(of("function_delay_minute/day_000.csv"), Role::HuaweiService);
        assert_eq!(of("R2/totalCost_avg/day_00.csv"), Role::HuaweiService);
        assert_eq!(of("R2/totalCost_quantile_099/day_00.csv"), Role::HuaweiOther);
        assert_eq!(of("R2/totalCost_frontend_avg/day_00.csv"), Role::HuaweiOther);
        assert_eq!(of("memory_limit_minute/day_000.csv"), Role::HuaweiMemory);
        assert_eq!(of("memory_usage_minute/day_000.csv"), Role::HuaweiOther);
        assert_eq!(of("anything.csv"), Role::HuaweiRequests);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = of("x.csv", "HashOwner,HashApp,HashFunction,1,2").unwrap_err();
        assert_eq!((error.kind(), error.column()), (Kind::MissingColumn, Some("Trigger")));
        let error = of("x.csv", "app,func,end_timestamp").unwrap_err();
        assert_eq!((error.kind(), error.column()), (Kind::MissingColumn, Some("duration")));
        assert_eq!(of("x.csv", "a,b").unwrap_err().kind(), Kind::UnknownFormat);
        assert_eq!(of("x.csv", "").unwrap_err().kind(), Kind::Empty);
        let cold = "day,time,clusterName,funcName,userID,requestID,totalCost_cold_start,podID";
        assert!(of("x.csv", cold).unwrap_err().to_string().contains("cold starts"));
    }
}
