//! In which form a client wants an answer: the `Accept` header (RFC 9110, section
//! 12.5.1) with the parameters of Kubernetes (`as`, `g`, `v`, `stream`).

/// In which form objects are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    #[default]
    Objects,
    /// As a table, in this version of `meta.k8s.io`.
    Table(&'static str),
    /// Their metadata only, in this version of `meta.k8s.io`.
    Metadata(&'static str),
}

/// In which form discovery is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiscoveryForm {
    /// A document per group and version.
    #[default]
    Plain,
    /// One document of everything, in this version of `apidiscovery.k8s.io`.
    Aggregated(&'static str),
}

/// In which form OpenAPI version 2 is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenApiForm {
    /// As JSON.
    #[default]
    Json,
    /// As protocol buffers, for old versions of kubectl.
    Protobuf,
}

/// The content type of OpenAPI version 2 as protocol buffers: what is answered.
pub const OPENAPI_V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What clients ask for. As a content type it is none (`@` must not be in one), and
/// clients that read what they get refuse it.
const OPENAPI_V2_PROTOBUF_ASKED: &str =
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The first form of objects that is accepted and known. `None` when the client
/// accepts nothing we have: answer `406`.
pub fn objects(accept: &str) -> Option<Form> {
    first(accept, |media| {
        if !media.is_json() {
            return None;
        }
        match media.parameter("as") {
            None => Some(Form::Objects),
            Some(word) if media.parameter("g") == Some("meta.k8s.io") => {
                let version = match media.parameter("v") {
                    Some("v1") => "v1",
                    Some("v1beta1") => "v1beta1",
                    _ => return None,
                };
                match word {
                    "Table" => Some(Form::Table(version)),
                    "PartialObjectMetadata" | "PartialObjectMetadataList" => {
                        Some(Form::Metadata(version))
                    }
                    _ => None,
                }
            }
            Some(_) => None,
        }
    })
}

/// The first form of discovery that is accepted and known.
pub fn discovery(accept: &str) -> Option<DiscoveryForm> {
    first(accept, |media| {
        if !media.is_json() {
            return None;
        }
        match (media.parameter("as"), media.parameter("g"), media.parameter("v")) {
            (None, ..) => Some(DiscoveryForm::Plain),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => {
                Some(DiscoveryForm::Aggregated("v2"))
            }
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1")) => {
                Some(DiscoveryForm::Aggregated("v2beta1"))
            }
            _ => None,
        }
    })
}

/// The first form of OpenAPI version 2 that is accepted and known.
pub fn openapi_v2(accept: &str) -> Option<OpenApiForm> {
    first(accept, |media| match media.kind {
        OPENAPI_V2_PROTOBUF | OPENAPI_V2_PROTOBUF_ASKED => Some(OpenApiForm::Protobuf),
        _ if media.is_json() => Some(OpenApiForm::Json),
        _ => None,
    })
}

/// One part of an `Accept` header.
struct Media<'a> {
    kind: &'a str,
    parameters: &'a str,
}

impl<'a> Media<'a> {
    fn is_json(&self) -> bool {
        matches!(self.kind, "application/json" | "application/*" | "*/*")
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.split(';').find_map(|part| {
            let (key, value) = part.split_once('=')?;
            (key.trim() == name).then(|| value.trim().trim_matches('"'))
        })
    }

    /// How much the client likes it, in thousandths.
    fn quality(&self) -> u32 {
        let quality = self.parameter("q").and_then(|text| text.parse::<f32>().ok()).unwrap_or(1.0);
        (quality.clamp(0.0, 1.0) * 1000.0) as u32
    }
}

/// The most liked part that is known; of equally liked ones the first.
fn first<T: Default>(accept: &str, known: impl Fn(&Media<'_>) -> Option<T>) -> Option<T> {
    if accept.trim().is_empty() {
        return Some(T::default());
    }
    let mut best: Option<(u32, T)> = None;
    for part in accept.split(',') {
        let (kind, parameters) = part.split_once(';').unwrap_or((part, ""));
        let media = Media { kind: kind.trim(), parameters };
        let quality = media.quality();
        if quality > best.as_ref().map_or(0, |(quality, _)| *quality)
            && let Some(form) = known(&media)
        {
            best = Some((quality, form));
        }
    }
    best.map(|(_, form)| form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_send_is_understood() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                       application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(objects(kubectl), Some(Form::Table("v1")));
        let metadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,\
                        application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
        assert_eq!(objects(metadata), Some(Form::Metadata("v1")));
        for plain in [
            "",
            "*/*",
            "application/json",
            "application/json;stream=watch",
            "application/vnd.kubernetes.protobuf,application/json",
            "application/json;as=Table;v=v9;g=meta.k8s.io,application/json",
        ] {
            assert_eq!(objects(plain), Some(Form::Objects), "{plain}");
        }
        assert_eq!(objects("text/html"), None);
        assert_eq!(
            objects("application/json;q=0.1,application/json;as=Table;v=v1;g=meta.k8s.io"),
            Some(Form::Table("v1"))
        );
    }

    #[test]
    fn discovery_is_aggregated_for_who_can_read_it() {
        let new = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                   application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
                   application/json";
        assert_eq!(discovery(new), Some(DiscoveryForm::Aggregated("v2")));
        assert_eq!(discovery("application/json, */*"), Some(DiscoveryForm::Plain));
    }

    #[test]
    fn protobuf_is_only_for_openapi() {
        assert_eq!(openapi_v2(OPENAPI_V2_PROTOBUF_ASKED), Some(OpenApiForm::Protobuf));
        assert_eq!(openapi_v2(OPENAPI_V2_PROTOBUF), Some(OpenApiForm::Protobuf));
        assert_eq!(openapi_v2("application/json, */*"), Some(OpenApiForm::Json));
        assert_eq!(openapi_v2("text/plain"), None);
    }
}
