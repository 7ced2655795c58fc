//! Linux processes pass the suite every driver passes.

mod support;

use std::fs;
use std::sync::Arc;

use gapless_sandbox::Driver;
use gapless_sandbox::conformance::{Ability, BadArtifact, Fixture};
use support::{Setup, archive, spec};

fn setup() -> (Arc<dyn Driver>, Fixture) {
    let Setup { driver, fixture, root } = support::setup(&["./gapless-probe"]);
    let folder = |name: &str, items: &[support::Item<'_>]| {
        let at = root.path().join(name);
        fs::create_dir(&at).unwrap();
        Some(archive(&at, items))
    };
    let garbage = root.path().join("garbage.tar");
    fs::write(&garbage, [7; 3000]).unwrap();
    let cut = root.path().join("cut.tar");
    let whole = fs::read(fixture.artifact.as_ref().unwrap()).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let bad = [
        ("not an archive", vec!["./x"], Some(garbage), "not a whole tar archive"),
        ("half an archive", vec!["./x"], Some(cut), "Deploy the folder again"),
        (
            "no program",
            vec!["./server", "--fast"],
            folder("no-program", &[("server.py", b"", false)]),
            "program \"./server\" was not found in the function's folder",
        ),
        (
            "nowhere a program",
            vec!["no-such-program-anywhere"],
            folder("nowhere", &[("x", b"", false)]),
            "was not found in PATH or the function's folder",
        ),
        (
            "a program without permission",
            vec!["./server.py"],
            folder("no-permission", &[("server.py", b"#!/bin/sh\n", false)]),
            "chmod +x",
        ),
    ];
    let abilities = [
        Ability::Echo,
        Ability::Env,
        Ability::Files,
        Ability::Log,
        Ability::Die,
        Ability::Sleep,
        Ability::Count,
    ];
    let fixture = fixture.with_abilities(&abilities);
    let fixture = bad.into_iter().fold(fixture, |fixture, (name, command, artifact, says)| {
        fixture.with_bad(BadArtifact { name, spec: spec(&command), artifact, says: vec![says] })
    });
    (driver, fixture)
}

gapless_sandbox::conformance_tests!(setup);
