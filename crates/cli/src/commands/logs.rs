//! `gapless logs NAME`: what a function's instances write, and what the platform
//! says about them.

use gapless_api::{LogLine, function_path};

use crate::args::{ApiArgs, NamespaceArgs, check_name};
use crate::failure::Outcome;
use crate::output::{self, Format};

const EXAMPLES: &str = "\
Examples:
  gapless logs hello                 the last 100 lines
  gapless logs -f hello              go on as they come, until Ctrl-C
  gapless logs hello --tail 5 -o json";

/// Lines shown unless somebody says otherwise.
const TAIL_DEFAULT: usize = 100;

/// Show what a function writes: one line each, with its time and instance.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Name of the function
    name: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Go on with new lines as they come
    #[arg(short, long)]
    follow: bool,
    /// How many of the latest lines to begin with
    #[arg(long, value_name = "LINES", default_value_t = TAIL_DEFAULT)]
    tail: usize,
    /// How to print: table (time, instance, line), json (one object a line) or name (the line alone)
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let client = args.api.client()?;
    let (namespace, name) = (&args.namespace.of(&args.api)?, &args.name);
    check_name(name)?;
    check_name(namespace)?;
    let path = function_path(namespace, name);
    let path = format!("{path}/log?tailLines={}&follow={}", args.tail, args.follow);
    let what = format!("cannot read the log of function {namespace}/{name}");
    let explain = |failure: crate::failure::Failure| match failure.is_not_found() {
        true => failure.help("`gapless get functions -A` lists what there is"),
        false => failure,
    };
    let mut lines = client.lines(&what, &path).await.map_err(explain)?;
    let mut seen_any = false;
    while let Some(line) = lines.next_object::<LogLine>().await? {
        seen_any = true;
        output::emit(&render(&line, args.output))?;
    }
    if !seen_any && !args.follow {
        eprintln!("function {namespace}/{name} has written nothing yet");
    }
    Ok(())
}

/// One line as it is printed.
pub(crate) fn render(line: &LogLine, format: Format) -> String {
    match format {
        Format::Json | Format::Yaml => {
            let json = serde_json::to_string(line).unwrap_or_default();
            format!("{json}\n")
        }
        Format::Name => format!("{}\n", line.line),
        Format::Wide => {
            format!("{} {} {:<8} {}\n", line.time, line.instance, line.stream, line.line)
        }
        Format::Table => {
            let time = line.time.split(['T', 'Z', '+']).nth(1).unwrap_or(&line.time);
            let mark = match line.stream.as_str() {
                "stdout" => " ",
                "stderr" => "!",
                _ => "*",
            };
            format!("{time} {} {mark} {}\n", line.instance, line.line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_and_who() {
        let line = LogLine {
            time: "2026-01-02T03:04:05.678Z".to_owned(),
            instance: "i00002a".to_owned(),
            stream: "stderr".to_owned(),
            line: "hello".to_owned(),
        };
        assert_eq!(render(&line, Format::Table), "03:04:05.678 i00002a ! hello\n");
        assert_eq!(render(&line, Format::Name), "hello\n");
        let json: serde_json::Value = serde_json::from_str(&render(&line, Format::Json)).unwrap();
        assert_eq!(json["stream"], "stderr");
    }
}
