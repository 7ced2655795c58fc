//! The container of a revision: its code, ports, resources and readiness.

use gapless_types::{Bytes, CpuMillis};
use serde_json::{Map, Value, json};

use crate::fields::{Findings, Known, shown};
use crate::{ARTIFACT_IMAGE, env};

const PATH: &str = "spec.template.spec.containers[0]";
/// The component's name where a Service names none: its code is known by its digest.
const COMPONENT: &str = "function.wasm";

const IGNORED: &str = "is not honoured and is ignored";
const CONTAINER: Known = Known {
    honoured: &[
        "image",
        "name",
        "command",
        "args",
        "env",
        "envFrom",
        "ports",
        "resources",
        "readinessProbe",
    ],
    kept: &[
        ("imagePullPolicy", IGNORED),
        ("livenessProbe", "is not honoured: an instance that dies is replaced"),
        ("startupProbe", "is not honoured: an instance is ready when it listens"),
        ("terminationMessagePath", IGNORED),
        ("terminationMessagePolicy", IGNORED),
        ("securityContext", IGNORED),
    ],
    refused: &[
        ("workingDir", "is not honoured: a program runs in its deployed folder; remove it"),
        (
            "volumeMounts",
            "is not honoured: a function's files are declared by spec.files of a \
                          gapless Function and appear in the folder $GAPLESS_FILES",
        ),
        ("lifecycle", "is not allowed, as in Knative: remove it"),
        ("stdin", "is not allowed, as in Knative: remove it"),
        ("tty", "is not allowed, as in Knative: remove it"),
        ("volumeDevices", "is not allowed, as in Knative: remove it"),
    ],
};
const PORT: Known =
    Known { honoured: &["name", "containerPort", "protocol"], kept: &[], refused: &[] };
const RESOURCES: Known = Known { honoured: &["requests", "limits"], kept: &[], refused: &[] };
const AMOUNTS: Known =
    Known { honoured: &["cpu", "memory"], kept: &[("ephemeral-storage", IGNORED)], refused: &[] };
const PROBE: Known = Known {
    honoured: &[
        "httpGet",
        "tcpSocket",
        "timeoutSeconds",
        "successThreshold",
        "failureThreshold",
        "periodSeconds",
        "initialDelaySeconds",
    ],
    kept: &[],
    refused: &[
        ("exec", "is not honoured: use httpGet or tcpSocket"),
        ("grpc", "is not honoured: use httpGet or tcpSocket"),
    ],
};

pub(crate) fn to_function(
    container: &Value,
    function: &mut Map<String, Value>,
    findings: &mut Findings,
) {
    let fields = findings.map(container, PATH);
    findings.known(fields, PATH, &CONTAINER);
    code(container, function, findings);
    env::to_function(container, PATH, function, findings);
    ports(&container["ports"], findings);
    resources(&container["resources"], function, findings);
    readiness(&container["readinessProbe"], function, findings);
}

fn code(container: &Value, function: &mut Map<String, Value>, findings: &mut Findings) {
    let words = |field: &str, findings: &mut Findings| -> Vec<Value> {
        let at = format!("{PATH}.{field}");
        let list = findings.list(&container[field], &at).iter().enumerate();
        let word = |(index, word): (usize, &Value)| {
            findings.text(word, &format!("{at}[{index}]")).map(|_| word.clone())
        };
        list.collect::<Vec<_>>().into_iter().filter_map(word).collect()
    };
    let (mut command, arguments) = (words("command", findings), words("args", findings));
    if command.is_empty() && !arguments.is_empty() {
        let message = "has no program: there is no image whose entry point it could be given to; \
                       name the program in command";
        findings.error(format!("{PATH}.args"), message);
    }
    let at = format!("{PATH}.image");
    let Some(image) = findings.text(&container["image"], &at) else {
        if container["image"].is_null() {
            findings.error(at, format!("is missing; {}", how_to_name_code()));
        }
        return;
    };
    let digest = image.strip_prefix(ARTIFACT_IMAGE).and_then(|rest| rest.strip_prefix('@'));
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let hex = digest.and_then(|digest| digest.strip_prefix("sha256:"));
    if !hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex)) {
        let message =
            format!("found {image:?}: container images are not run; {}", how_to_name_code());
        return findings.error(at, message);
    }
    function.insert("artifact".to_owned(), digest.into());
    if command.is_empty() {
        function.insert("wasm".to_owned(), COMPONENT.into());
    } else {
        command.extend(arguments);
        function.insert("command".to_owned(), command.into());
    }
}

fn how_to_name_code() -> String {
    format!(
        "upload a component or a folder (`gapless deploy`) and name it {ARTIFACT_IMAGE}@sha256:HEX, \
         with its program in command"
    )
}

fn ports(ports: &Value, findings: &mut Findings) {
    let at = format!("{PATH}.ports");
    let [port] = findings.list(ports, &at) else {
        if ports.as_array().is_some_and(|ports| ports.len() > 1) {
            findings.error(at, "has several ports; one is allowed, as in Knative");
        }
        return;
    };
    let at = format!("{at}[0]");
    let fields = findings.map(port, &at);
    findings.known(fields, &at, &PORT);
    match findings.text(&port["name"], &format!("{at}.name")) {
        None | Some("" | "http1") => {}
        Some("h2c") => {
            let message = "h2c is not spoken to instances: use http1";
            findings.error(format!("{at}.name"), message);
        }
        Some(other) => {
            findings.error(format!("{at}.name"), format!("found {other:?}, allowed is http1"));
        }
    }
    if !matches!(
        findings.text(&port["protocol"], &format!("{at}.protocol")),
        None | Some("" | "TCP")
    ) {
        findings
            .error(format!("{at}.protocol"), format!("found {}, allowed is TCP", port["protocol"]));
    }
    let number = findings.number(&port["containerPort"], &format!("{at}.containerPort"), 65_535);
    if number.is_some_and(|number| number != 8080 && number != 0) {
        let message = "is not the port an instance gets: the program must listen on $PORT";
        findings.warn(&format!("{at}.containerPort"), message);
    }
}

fn resources(resources: &Value, function: &mut Map<String, Value>, findings: &mut Findings) {
    let at = format!("{PATH}.resources");
    let fields = findings.map(resources, &at);
    findings.known(fields, &at, &RESOURCES);
    for kind in ["requests", "limits"] {
        let at = format!("{at}.{kind}");
        let amounts = findings.map(&resources[kind], &at);
        findings.known(amounts, &at, &AMOUNTS);
    }
    let mut amount = |kind: &str, name: &str| -> Option<String> {
        let found = match &resources[kind][name] {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            other => shown(other),
        };
        let wrong = match name {
            "cpu" => found.parse::<CpuMillis>().err().map(|error| error.to_string()),
            _ => found.parse::<Bytes>().err().map(|error| error.to_string()),
        };
        match wrong {
            Some(wrong) => findings.error(format!("{at}.{kind}.{name}"), wrong),
            None => return Some(found),
        }
        None
    };
    // Reserved is what is asked for; enforced is the limit.
    let (cpu_asked, cpu_limit) = (amount("requests", "cpu"), amount("limits", "cpu"));
    let (memory_asked, memory_limit) = (amount("requests", "memory"), amount("limits", "memory"));
    let mut made = Map::new();
    if let Some(cpu) = cpu_asked.or(cpu_limit) {
        made.insert("cpu".to_owned(), cpu.into());
    }
    if let Some(memory) = memory_limit.or(memory_asked) {
        made.insert("memory".to_owned(), memory.into());
    }
    if !made.is_empty() {
        function.insert("resources".to_owned(), Value::Object(made));
    }
}

fn readiness(probe: &Value, function: &mut Map<String, Value>, findings: &mut Findings) {
    let at = format!("{PATH}.readinessProbe");
    let fields = findings.map(probe, &at);
    findings.known(fields, &at, &PROBE);
    let get = &probe["httpGet"];
    if get.is_null() {
        return;
    }
    let path = findings.text(&get["path"], &format!("{at}.httpGet.path")).unwrap_or("/");
    if !path.starts_with('/') {
        let message = format!("found {path:?}; a path begins with /");
        findings.error(format!("{at}.httpGet.path"), message);
    }
    let mut made = json!({"path": path});
    let seconds = findings.number(&probe["timeoutSeconds"], &format!("{at}.timeoutSeconds"), 600);
    if let Some(seconds) = seconds.filter(|seconds| *seconds > 0) {
        made["timeout"] = format!("{seconds}s").into();
    }
    function.insert("probe".to_owned(), made);
}
