//! Secrets from written to stored to shown and back, as clients do it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gapless_secret::{
    Sealer, admit_config_map, admit_secret, config_entries, is_sealed_with_newest, redact, reseal,
    secret_entries, unseal,
};
use gapless_types::FieldError;
use serde_json::{Value, json};

fn written() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "api", "namespace": "shop"},
        "data": {"token": BASE64.encode("hunter2")},
        "stringData": {"user": "zoë"},
    })
}

fn stored(sealer: &Sealer) -> Value {
    let mut secret = written();
    admit_secret(&mut secret, None, sealer).unwrap();
    secret
}

fn redacted(stored: &Value, sealer: &Sealer) -> Value {
    let mut shown = stored.clone();
    redact(&mut shown, sealer);
    shown
}

fn errors(mut new: Value, old: Option<&Value>, sealer: &Sealer) -> Vec<String> {
    let errors = admit_secret(&mut new, old, sealer).unwrap_err();
    errors.iter().map(FieldError::to_string).collect()
}

#[test]
fn no_value_is_in_the_stored_or_the_shown_form() {
    let sealer = Sealer::ephemeral();
    let stored = stored(&sealer);
    let shown = redacted(&stored, &sealer);
    for form in [stored.to_string(), shown.to_string()] {
        for value in ["hunter2", "zoë", &BASE64.encode("hunter2"), &BASE64.encode("zoë")] {
            assert!(!form.contains(value), "{form}");
        }
    }
    assert_eq!(stored["type"], "Opaque");
    assert!(stored.get("stringData").is_none());
    // What is shown is a valid Secret for clients that decode it.
    let token = BASE64.decode(shown["data"]["token"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8(token).unwrap().contains("?reveal=true"));
    let mut revealed = stored.clone();
    unseal(&mut revealed, &sealer).unwrap();
    assert_eq!(
        revealed["data"],
        json!({"token": BASE64.encode("hunter2"), "user": BASE64.encode("zoë")})
    );
    assert_eq!(secret_entries(&stored, &sealer).unwrap()["user"].expose(), "zoë".as_bytes());
}

#[test]
fn a_shown_secret_written_back_changes_nothing() {
    let sealer = Sealer::ephemeral();
    let stored = stored(&sealer);
    // As `kubectl edit` and `replace` do: a label is added, the rest given back.
    let mut edited = redacted(&stored, &sealer);
    edited["metadata"]["labels"] = json!({"team": "a"});
    admit_secret(&mut edited, Some(&stored), &sealer).unwrap();
    assert_eq!(edited["data"], stored["data"]);
    assert_eq!(edited["metadata"]["labels"]["team"], "a");
    // One value changed, the other given back.
    let mut changed = redacted(&stored, &sealer);
    changed["data"]["token"] = BASE64.encode("changed").into();
    admit_secret(&mut changed, Some(&stored), &sealer).unwrap();
    assert_eq!(changed["data"]["user"], stored["data"]["user"]);
    assert_eq!(secret_entries(&changed, &sealer).unwrap()["token"].expose(), b"changed");
    // The same value written openly is no change either.
    let mut same = written();
    admit_secret(&mut same, Some(&stored), &sealer).unwrap();
    assert_eq!(same, stored);
    // And a patch over the stored form.
    let mut patched = stored.clone();
    patched["data"]["more"] = BASE64.encode("x").into();
    admit_secret(&mut patched, Some(&stored), &sealer).unwrap();
    assert_eq!(patched["data"]["token"], stored["data"]["token"]);
}

#[test]
fn a_shown_value_is_never_stored_as_a_value() {
    let sealer = Sealer::ephemeral();
    let first = stored(&sealer);
    let shown = redacted(&first, &sealer);
    // The secret was changed since it was shown.
    let mut second = written();
    second["data"]["token"] = BASE64.encode("changed").into();
    admit_secret(&mut second, Some(&first), &sealer).unwrap();
    let found = errors(shown.clone(), Some(&second), &sealer);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("data.token: stands for a hidden value"), "{found:?}");
    // It was deleted meanwhile, or the file is applied elsewhere.
    assert_eq!(errors(shown.clone(), None, &sealer).len(), 2);
    let mut elsewhere = shown.clone();
    elsewhere["metadata"]["name"] = "other".into();
    assert_eq!(errors(elsewhere, Some(&first), &sealer).len(), 2);
    // One key's is given as another's, or as text.
    let mut swapped = shown.clone();
    swapped["data"]["token"] = shown["data"]["user"].clone();
    assert_eq!(errors(swapped, Some(&first), &sealer).len(), 1);
    let decoded = BASE64.decode(shown["data"]["token"].as_str().unwrap()).unwrap();
    let mut text = written();
    text["stringData"]["other"] = String::from_utf8(decoded).unwrap().into();
    assert_eq!(errors(text, Some(&first), &sealer).len(), 1);
}

#[test]
fn a_sealed_value_from_elsewhere_is_no_value() {
    let sealer = Sealer::ephemeral();
    let first = stored(&sealer);
    let mut swapped = first.clone();
    swapped["data"]["token"] = first["data"]["user"].clone();
    let found = errors(swapped.clone(), Some(&first), &sealer);
    assert!(found[0].starts_with("data.token: is not base64"), "{found:?}");
    // Swapped in the store itself, it does not open.
    let error = secret_entries(&swapped, &sealer).unwrap_err().to_string();
    assert!(error.starts_with("secret shop/api, key token is not as it was sealed"), "{error}");
}

#[test]
fn what_kubectl_keeps_of_a_manifest_holds_no_value() {
    let sealer = Sealer::ephemeral();
    let mut secret = written();
    let manifest = format!("{}\n", written());
    let key = "kubectl.kubernetes.io/last-applied-configuration";
    secret["metadata"]["annotations"] = json!({key: manifest, "note": "kept"});
    admit_secret(&mut secret, None, &sealer).unwrap();
    let kept: Value =
        serde_json::from_str(secret["metadata"]["annotations"][key].as_str().unwrap()).unwrap();
    assert_eq!(kept["data"], json!({"token": ""}));
    assert_eq!(kept["stringData"], json!({"user": ""}));
    assert_eq!(kept["metadata"]["name"], "api");
    assert_eq!(secret["metadata"]["annotations"]["note"], "kept");
    secret["metadata"]["annotations"][key] = "no json, hunter2".into();
    admit_secret(&mut secret.clone(), Some(&secret), &sealer).unwrap();
    let mut again = secret.clone();
    admit_secret(&mut again, Some(&secret), &sealer).unwrap();
    assert!(again["metadata"]["annotations"].get(key).is_none());
}

#[test]
fn an_immutable_secret_stays_as_it_is() {
    let sealer = Sealer::ephemeral();
    let mut first = written();
    first["immutable"] = true.into();
    admit_secret(&mut first, None, &sealer).unwrap();
    let mut labelled = redacted(&first, &sealer);
    labelled["metadata"]["labels"] = json!({"a": "b"});
    admit_secret(&mut labelled, Some(&first), &sealer).unwrap();
    let paths = |new: Value| -> Vec<String> {
        let found = admit_secret(&mut { new }, Some(&first), &sealer).unwrap_err();
        found.into_iter().map(|error| error.path).collect()
    };
    let mut changed = redacted(&first, &sealer);
    changed["data"]["token"] = BASE64.encode("x").into();
    assert_eq!(paths(changed), ["data"]);
    let mut removed = redacted(&first, &sealer);
    removed["data"].as_object_mut().unwrap().remove("token");
    removed["immutable"] = false.into();
    assert_eq!(paths(removed), ["immutable", "data"]);
}

#[test]
fn a_rotation_seals_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = gapless_secret::KeyFile::new(folder.path().join("keys"));
    let before = file.open().unwrap();
    let mut secret = stored(&before);
    let shown = redacted(&secret, &before);
    let after = file.rotate().unwrap();
    assert!(!is_sealed_with_newest(&secret, &after));
    // What was shown before the rotation still means what it meant.
    admit_secret(&mut shown.clone(), Some(&secret), &after).unwrap();
    reseal(&mut secret, &after).unwrap();
    assert!(is_sealed_with_newest(&secret, &after));
    assert_eq!(secret_entries(&secret, &after).unwrap()["token"].expose(), b"hunter2");
    assert!(secret_entries(&secret, &before).is_err());
}

#[test]
fn no_error_shows_a_value() {
    let sealer = Sealer::ephemeral();
    let mut wrong = written();
    wrong["data"] = json!({"token": "hunter2!!", "n": 12345678, "../x": "aGk="});
    wrong["type"] = "kubernetes.io/tls".into();
    let found = errors(wrong, None, &sealer);
    assert_eq!(found.len(), 4, "{found:?}");
    let all = found.join("\n");
    assert!(!all.contains("hunter2") && !all.contains("12345678"), "{all}");
}

#[test]
fn configs_are_text_and_bytes() {
    let mut config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"},
        "data": {"MODE": "fast"}, "binaryData": {"logo": BASE64.encode([0_u8, 255])},
    });
    admit_config_map(&mut config, None).unwrap();
    assert_eq!(config["metadata"]["namespace"], "default");
    let entries = config_entries(&config);
    assert_eq!(entries["logo"].expose(), [0, 255]);
    assert_eq!(entries["MODE"].expose(), b"fast");
    let mut immutable = config.clone();
    immutable["immutable"] = true.into();
    admit_config_map(&mut immutable, Some(&config)).unwrap();
    let mut changed = immutable.clone();
    changed["data"]["MODE"] = "slow".into();
    let found = admit_config_map(&mut changed, Some(&immutable)).unwrap_err();
    assert_eq!(found[0].path, "data");
    admit_config_map(&mut immutable.clone(), Some(&immutable)).unwrap();
}
